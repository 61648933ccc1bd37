"""Slices for people: from the source voxels, in the body's own proportions.

The model sees a volume squashed to a square; a reader should not. Only the picture is stretched: boxes
are drawn in the model's own numbers, under a scale.
"""

import numpy as np

from model.imaging.frame import SHOWN, fitted
from model.imaging.prepare import Prepared, render
from model.interface.boxes import Box


def proportions(prepared: Prepared, side: int) -> tuple[int, int]:
    """(columns, rows) of a displayed slice, longest `side`, aspect as in mm."""
    across, down, _ = SHOWN[prepared.frame.plane][0]
    volume = prepared.volume
    width, height = (volume.shape[axis] * volume.spacing_mm[axis] for axis in (across, down))
    return fitted(width, height, side, 1)


def displayed(prepared: Prepared, z: int, side: int) -> np.ndarray:
    """Slice z of model space at a size for reading -> uint8 [rows, columns], or [rows, columns, 3]."""
    width, height, _ = prepared.frame.shape
    whole = Box((0, 0, z), (width, height, z + 1))
    return render(prepared.volume, prepared.frame, prepared.windows, whole, proportions(prepared, side))


def telling_slice(prepared: Prepared, boxes: tuple[Box, ...]) -> int:
    """The slice that shows most boxes, nearest their middle; the middle slice when there are none."""
    if not boxes:
        return prepared.frame.shape[2] // 2
    middle = sum(box.centre[2] for box in boxes) / len(boxes)

    def worth(z: int) -> tuple[int, float]:
        return sum(box.low[2] < z + 1 and z < box.high[2] for box in boxes), -abs(z + 0.5 - middle)

    return max(range(prepared.frame.shape[2]), key=worth)
