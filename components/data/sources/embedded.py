"""The embedded anatomy as a source: every case a head, warped, diseased and painted from its own seed.

There is nothing to download; `root` is not looked at. A case's files are the label maps inside the installed wheels.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from components.data import contrasts, heads, studies
from components.data.anatomy import ATLAS, DONORS, Subject, subjects
from components.data.labels import ENVELOPE, NAMES
from components.data.lesions import KINDS
from components.data.sources.case import Case, Labelled, Outline, outlines_of

NAME = "embedded"
LICENCE = studies.licence_of(DONORS[0])
HEADS = 10_000
SEED = 4100
GRID = heads.Grid((128, 128, 64), studies.FIELD_MM)
SPLIT = {"15496": "val", "15697": "test"}
"""One person each; everybody else trains."""
TURN = (*DONORS[:4], ATLAS, *DONORS[:4], ATLAS, *DONORS[:4], ATLAS, "15496", "15697", "15697")
"""Whose head comes next: five of six are for training."""
STRUCTURES = {i: name for i, name in enumerate(NAMES) if i and name not in ENVELOPE}


def cases(root: Path = Path()) -> Iterator[Case]:
    """`HEADS` of them; a user takes the first so many."""
    for number in range(HEADS):
        subject = TURN[number % len(TURN)]
        split = SPLIT.get(subject, "train")
        licence = studies.licence_of(subject)
        yield Case(NAME, subject, f"head-{number:05d}", split, licence, (), partial(_paint, number, subject))


def _paint(number: int, subject: str) -> Labelled:
    random = np.random.default_rng([SEED, number])
    head = studies.make_head(random, f"head-{number}", "", _subject(subject), contrasts.TRAINED, GRID)
    study, scene = studies.whole(head)
    seen = {lesion.kind: lesion.core for lesion in scene.lesions}
    outlines = [*outlines_of(head.labels, STRUCTURES)]
    outlines += [o for kind, core in seen.items() if (o := Outline.of(kind, core))]
    known = frozenset([*STRUCTURES.values(), *KINDS])
    return Labelled(study.volume, tuple(outlines), "patient", (), known, frozenset(scene.hidden), head.contrast)


@lru_cache(maxsize=8)
def _subject(name: str) -> Subject:
    return subjects([name], workers=1)[name]
