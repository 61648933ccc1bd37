"""Which way the patient lies, told by organs whose place is beyond doubt.

A picture or an array without a frame gets one when its own outlines agree on every axis that it has:

    left to right      pairs: left kidney and right kidney; not of the heart, whose sides lie behind one another
    front to back      the spine, the kidneys and the buttocks behind what lies before them
    up and down        vertebrae in their order, lungs and heart above bladder and hips

All must agree, and each by a margin. A single picture must be said to be axial, and must not show what lies one above
the other: in a coronal one up and down would pass for front and back. Of a volume that has a frame the same pairs are
a check: where they contradict it, nobody's left and right may be asked about.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation

from components.data.sources.case import Labelled, Outline
from components.data.sources.ontology import entry
from model.imaging.reading.files import oriented
from model.imaging.volume import FileGrid, Volume

MARGIN = 0.03
"""Of an axis's length, by which two centres must be apart to say anything."""
MOSTLY = 2.0
"""A pair lies along an axis when its centres are this many times further apart there than along any other."""
MOST_VERTEBRAE = 3
"""Of one axial slice: a body, and the arches and processes that reach down from those above."""
CROSSWISE = ("heart",)
"""Systems whose left and right are names, not places."""
SPINE = (
    "sacrum", "spinal cord", "left deep back muscle", "right deep back muscle",
    *(f"{part}{i} vertebra" for part, n in (("C", 7), ("T", 12), ("L", 5)) for i in range(1, n + 1)),
)  # fmt: skip
VERTEBRAE = SPINE[4:]
"""From the top down."""
DEPTHS = (
    (SPINE, (
        "heart", "myocardium", "left atrium", "right atrium", "left ventricle", "right ventricle", "trachea", "sternum",
        "inferior vena cava", "stomach", "pancreas", "gallbladder", "duodenum", "small bowel", "urinary bladder",
        "prostate",
    )),
    (("left kidney", "right kidney", "aorta"), ("pancreas", "gallbladder")),
    (("left gluteus maximus", "right gluteus maximus"), (
        "left hip bone", "right hip bone", "left femur", "right femur",
    )),
)  # fmt: skip
"""(what lies behind, what lies before it)."""
HEIGHTS = (
    ("brain", "skull"),
    ("thyroid gland",),
    ("heart", "left lung", "right lung", "left upper lung lobe", "right upper lung lobe"),
    ("urinary bladder", "prostate", "left hip bone", "right hip bone"),
)
"""From the top down; those of one line lie side by side."""
Vector = np.ndarray
"""float[3], voxels: from one centre to another."""


def calibrated(labelled: Labelled, axial: bool = False) -> Labelled:
    """With a frame where the outlines give one; without the patient's sides where they contradict the file's.

    axial: what whoever made a single picture says of it.
    """
    centres = {outline.name: _centre(outline) for outline in labelled.outlines}
    volume = labelled.volume
    if volume.frame_known:
        return _checked(labelled, list(_to_the_right(centres)))
    if volume.dimension == 2 and not (axial and _on_one_level(centres)):
        return labelled
    affine = _affine(volume, centres)
    return labelled if affine is None else _turned(labelled, affine)


def _checked(labelled: Labelled, pairs: Sequence[Vector]) -> Labelled:
    width = labelled.volume.shape[0]
    wrong = sum(pair[0] < -MARGIN * width for pair in pairs)
    if not wrong:
        return labelled
    told = f"{wrong} of {len(pairs)} paired structures lie on the other side than their names say: sides are not used"
    return replace(labelled, sides="unknown", warnings=(*labelled.warnings, told))


def _affine(volume: Volume, centres: dict[str, Vector]) -> np.ndarray | None:
    """(4, 4), voxel index to mm, RAS+, origin unknown; None where an axis stays in doubt."""
    flat = volume.dimension == 2
    right = _axis(list(_to_the_right(centres)), volume, allowed=(0, 1) if flat else (0, 1, 2))
    if right is None:
        return None
    rest = [axis for axis in range(3) if axis != right[0]]
    up = (2, 1.0) if flat else _axis(list(_upwards(centres)), volume, allowed=rest)
    if up is None:
        return None
    forward = _axis(list(_forwards(centres)), volume, allowed=[axis for axis in rest if axis != up[0]])
    if forward is None:
        return None
    affine = np.eye(4)
    affine[:3, :3] = 0
    for world, (axis, sign) in enumerate((right, forward, up)):
        affine[world, axis] = sign * volume.spacing_mm[axis]
    return affine


def _axis(votes: Sequence[Vector], volume: Volume, allowed: Sequence[int]) -> tuple[int, float] | None:
    """(axis, 1 or -1): the one of the allowed along which all votes point; None where they don't, or are too short."""
    among = list(allowed)
    if not votes:
        return None
    axis = among[int(np.abs(np.sum(votes, axis=0))[among].argmax())]
    others = [other for other in among if other != axis]
    sign = float(np.sign(votes[0][axis]))
    for vote in votes:
        along = sign * vote[axis]
        if along < MARGIN * volume.shape[axis] or (others and along < MOSTLY * np.abs(vote[others]).max()):
            return None
    return axis, sign


def _on_one_level(centres: dict[str, Vector]) -> bool:
    levels = sum(any(name in centres for name in names) for names in HEIGHTS)
    return levels <= 1 and sum(name in centres for name in VERTEBRAE) <= MOST_VERTEBRAE


def _to_the_right(centres: dict[str, Vector]) -> Iterator[Vector]:
    for name, centre in centres.items():
        known = entry(name)
        tells = known.kind == "structure" and known.system not in CROSSWISE
        if tells and known.side == "left" and known.partner in centres:
            yield centres[known.partner] - centre


def _forwards(centres: dict[str, Vector]) -> Iterator[Vector]:
    for behind, before in DEPTHS:
        for back in (name for name in behind if name in centres):
            yield from (centres[front] - centres[back] for front in before if front in centres)


def _upwards(centres: dict[str, Vector]) -> Iterator[Vector]:
    spine = [name for name in VERTEBRAE if name in centres]
    if len(spine) > 1:
        yield centres[spine[0]] - centres[spine[-1]]
    for i, high in enumerate(HEIGHTS):
        for low in (name for names in HEIGHTS[i + 1 :] for name in names):
            yield from (centres[upper] - centres[low] for upper in high if upper in centres and low in centres)


def _centre(outline: Outline) -> Vector:
    return np.array([axis.mean() for axis in np.nonzero(outline.inside)]) + outline.low


def _turned(labelled: Labelled, affine: np.ndarray) -> Labelled:
    volume = labelled.volume
    voxels, to_mm, index = oriented(volume.voxels, affine)
    grid = volume.in_file
    turned = Volume(
        voxels, to_mm, volume.modality, True, "axial", volume.warnings, volume.spacing_known,
        FileGrid(grid.shape, grid.index @ index),
    )  # fmt: skip
    orientation = io_orientation(affine)
    outlines = tuple(_turned_outline(outline, volume.shape, orientation) for outline in labelled.outlines)
    told = "no frame in the file: it was taken from where paired organs, spine and organs lie"
    return replace(labelled, volume=turned, outlines=outlines, sides="patient", warnings=(*labelled.warnings, told))


def _turned_outline(outline: Outline, shape: tuple[int, int, int], orientation: np.ndarray) -> Outline:
    low = [0, 0, 0]
    for axis, (to, sign) in enumerate(orientation):
        first, size = outline.low[axis], outline.inside.shape[axis]
        low[int(to)] = first if sign > 0 else shape[axis] - first - size
    x, y, z = low
    return Outline(outline.name, (x, y, z), np.ascontiguousarray(apply_orientation(outline.inside, orientation)))
