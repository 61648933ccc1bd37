"""The cropper: the only code that decides what the model is shown when it points at a box.

An image gives one picture; a cuboid one for each of up to `contract.crop_slices` of its slices, evenly
spread. Crops of source "native" are rendered from the source voxels under the box, so zooming in gains
detail; "model" cuts the slices the model already saw, as the paper does. Too small a box is shown with
its surroundings (at least 4 px of model space a side, as in the paper); the box itself stays as it was said.
"""

from math import ceil, floor

import numpy as np

from model.imaging.frame import SHOWN, fitted
from model.imaging.prepare import Prepared, render
from model.imaging.resample import sample
from model.interface.boxes import Box, Point, iou
from model.interface.contract import Contract

SMALLEST = 4
"""Shortest side of what a crop shows, model-space px."""
PLACES = 64
"""Tries at another place that doesn't meet the box."""


def crop(prepared: Prepared, box: Box, contract: Contract) -> list[np.ndarray]:
    """Pictures of a box in model space -> uint8 [h, w] each, sides whole tokens, longest `contract.crop_side`."""
    if contract.crop_source == "elsewhere":
        box = elsewhere(box, prepared.frame.shape, _random(box, prepared))
    shown = _grown(box, prepared)
    slices = slices_of(box, prepared.frame.shape[2], contract)
    if contract.crop_source == "model":
        return [_from_model(prepared, shown, z, contract) for z in slices]
    return [_from_source(prepared, shown, z, contract) for z in slices]


def slices_of(box: Box, depth: int, contract: Contract) -> list[int]:
    """Indices of the slices shown for a box, ascending, at most `contract.crop_slices`."""
    first, last = max(floor(box.low[2]), 0), min(ceil(box.high[2]), depth)
    shown = min(last - first, contract.crop_slices)
    return [first + floor((i + 0.5) * (last - first) / shown) for i in range(shown)]


def elsewhere(box: Box, shape: Point, random: np.random.Generator) -> Box:
    """A box of the same size, moved by whole numbers inside `shape`.

    Of `PLACES` tries the first that doesn't meet the box, else the one that meets it least.
    """
    best, least = box, 2.0
    for _ in range(PLACES):
        moved = [int(random.integers(0, max(1, int(n - side) + 1))) for n, side in zip(shape, box.size, strict=True)]
        found = Box.of((*moved, *(low + side for low, side in zip(moved, box.size, strict=True))))
        overlap = iou(box, found)
        if overlap < least:
            best, least = found, overlap
        if not overlap:
            break
    return best


def _random(box: Box, prepared: Prepared) -> np.random.Generator:
    """Of the study and the box alone: the same place in every group, in training and when asked."""
    study = [int(prepared.volume.digest[i : i + 8], 16) for i in range(0, 32, 8)]
    return np.random.default_rng([*study, *(int(n) for n in box.numbers)])


def _from_source(prepared: Prepared, box: Box, z: int, contract: Contract) -> np.ndarray:
    """One slice of a box from source voxels, its aspect that of the body in mm."""
    frame, spacing = prepared.frame, prepared.volume.spacing_mm
    across, down, _ = SHOWN[frame.plane][0]
    source = frame.to_source(box)
    size = fitted(
        source.size[across] * spacing[across], source.size[down] * spacing[down], contract.crop_side, contract.factor
    )
    slab = Box((box.low[0], box.low[1], z), (box.high[0], box.high[1], z + 1))
    return render(prepared.volume, frame, prepared.windows, slab, size)


def _from_model(prepared: Prepared, box: Box, z: int, contract: Contract) -> np.ndarray:
    """One slice of a box from model space, its aspect that of the pixels."""
    columns, rows = fitted(box.size[0], box.size[1], contract.crop_side, contract.factor)
    spans = ((box.low[1], box.high[1]), (box.low[0], box.high[0]))
    return np.clip(sample(prepared.slices[z], spans, (rows, columns)) + 0.5, 0, 255).astype(np.uint8)


def _grown(box: Box, prepared: Prepared) -> Box:
    """The box, or where a side is too short the stretch of SMALLEST px around its middle, moved inside."""
    low, high = list(box.low), list(box.high)
    for axis in (0, 1):
        if box.size[axis] < SMALLEST:
            room = prepared.frame.shape[axis] - SMALLEST
            low[axis] = min(max(box.centre[axis] - SMALLEST / 2, 0), room)
            high[axis] = low[axis] + SMALLEST
    return Box.of((*low, *high))
