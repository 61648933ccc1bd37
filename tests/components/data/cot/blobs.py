"""A segmentation set made here: bodies of ellipsoids, paired and single, with lesions, wherever the seed puts them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from components.data.sources.calibration import calibrated
from components.data.sources.case import Case, Labelled, Outline
from components.data.sources.ontology import entry
from model.imaging.volume import Volume

NAME = "blobs"
LICENCE = "CC0"
SHAPE, SPACING = (48, 40, 24), (2.0, 2.5, 4.0)
PLACES = {
    "left kidney": (14, 22, 10),
    "right kidney": (34, 22, 10),
    "liver": (33, 16, 17),
    "spleen": (13, 16, 16),
    "left adrenal gland": (17, 24, 17),
    "right adrenal gland": (30, 24, 17),
    "aorta": (24, 27, 12),
}
LESION = "liver tumour"
OTHER_SIDE = {entry(name).partner: name for name in PLACES if entry(name).partner}
MISSING = 0.15
"""Share of structures that are not there."""


def cases(root: Path = Path()) -> Iterator[Case]:
    for k in range(400):
        subject = f"person-{k // 2}"
        yield Case(NAME, subject, f"case-{k}", "", LICENCE, (), partial(body, k))


def body(seed: int, *, flat: bool = False, known: bool = True) -> Labelled:
    random = np.random.default_rng([9, seed])
    voxels = random.normal(0, 5, SHAPE).astype(np.float32)
    clouds = random.normal(0, 60, (6, 5, 3)).astype(np.float32)  # no two bodies look alike
    voxels += np.kron(clouds, np.ones(np.floor_divide(SHAPE, clouds.shape), np.float32))
    outlines: list[Outline] = []
    for name, place in PLACES.items():
        if random.random() < MISSING:
            continue
        mask = ball(np.add(place, random.uniform(-4, 4, 3)), random.uniform((2, 2, 1.5), (6, 6, 4)))
        voxels[mask] += 80
        outlines += filter(None, [Outline.of(name, mask)])
    if random.random() < 0.7:
        mask = np.zeros(SHAPE, bool)
        for _ in range(random.integers(1, 3)):
            mask |= ball(random.uniform((10, 10, 5), (38, 30, 19)), random.uniform(1.2, 5, 3))
        voxels[mask] += 200
        outlines += filter(None, [Outline.of(LESION, mask)])
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2 * SPACING
    volume = Volume(voxels, affine, "MR", known, "axial" if known else "image", spacing_known=known)
    names = frozenset([*PLACES, LESION])
    if flat:
        cut = [Outline.of(o.name, o.mask(SHAPE)[:, :, 12:13]) for o in outlines]
        volume = Volume(voxels[:, :, 12:13], affine, "MR", known, "axial" if known else "image", spacing_known=known)
        outlines = [o for o in cut if o]
    return Labelled(volume, tuple(outlines), "patient" if known else "unknown", (), names)


def mirrored(seed: int) -> Labelled:
    """A body whose names are the wrong way round, as an adapter tells it."""
    told = body(seed)
    outlines = [Outline(OTHER_SIDE.get(o.name, o.name), o.low, o.inside) for o in told.outlines]
    return calibrated(replace(told, outlines=tuple(outlines)))


def ball(centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
    at = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    return (((at - centre) / radius) ** 2).sum(-1) <= 1
