"""From a volume to what the model sees, and to any closer look at it: one window, one renderer.

`prepare` is the whole study in model space; `render` is the same road for any box at any size, which
is how crops come from native resolution and still agree with the picture they were cut from.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from model.imaging.frame import Frame, frame_of
from model.imaging.resample import sample
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract

ENOUGH = 400_000
"""Voxels that settle a percentile; of larger volumes every k-th along each axis is read."""


@dataclass(frozen=True, eq=False)
class Prepared:
    slices: np.ndarray
    """uint8 [n, h, w], model space; n is 1 for an image."""
    frame: Frame
    volume: Volume
    window: tuple[float, float]
    """Source values shown as black and as white."""

    @property
    def dimension(self) -> int:
        """2 (one image) or 3 (a volume)."""
        return self.volume.dimension


def prepare(volume: Volume, contract: Contract) -> Prepared:
    """Window, then resample to model space."""
    frame = frame_of(volume, contract)
    window = window_of(volume, contract)
    width, height, n = frame.shape
    slices = np.empty((n, height, width), np.uint8)
    for z in range(n):
        slices[z] = render(volume, frame, window, Box((0, 0, z), (width, height, z + 1)), (width, height))
    return Prepared(slices, frame, volume, window)


def render(volume: Volume, frame: Frame, window: tuple[float, float], box: Box, size: tuple[int, int]) -> np.ndarray:
    """The mean over a box's slices, as displayed, at a size of (columns, rows) -> uint8 [rows, columns].

    box: model space; it may have fractional edges.
    """
    low, high = window
    scale = 255 / (high - low)

    def grey(values: np.ndarray) -> np.ndarray:
        return (np.clip(values, low, high).astype(np.float32) - np.float32(low)) * np.float32(scale)

    seen = sample(volume.voxels, frame.spans(box), frame.as_source((*size, 1)), grey)
    return np.clip(frame.displayed(seen)[0] + 0.5, 0, 255).astype(np.uint8)


def blank(prepared: Prepared) -> Prepared:
    """The same study with nothing to see: every pixel black, crops too. The blank-image baseline."""
    black = np.full(prepared.volume.shape, prepared.window[0], np.float32)
    return replace(prepared, slices=np.zeros_like(prepared.slices), volume=replace(prepared.volume, voxels=black))


def window_of(volume: Volume, contract: Contract) -> tuple[float, float]:
    """Source values shown as black and white: fixed in HU for a CT, else percentiles of the foreground."""
    if volume.modality == "CT":
        level, width = contract.ct_window_hu
        return level - width / 2, level + width / 2
    every = ceil((volume.voxels.size / ENOUGH) ** (1 / 3))
    values = volume.voxels[::every, ::every, ::every].astype(np.float32)
    low, high = (float(n) for n in np.percentile(_foreground(values), contract.mr_percentiles))
    if low < high:
        return low, high
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    return low, high if low < high else low + 1


def _foreground(values: np.ndarray) -> np.ndarray:
    """Values above a tenth of the robust range, the threshold of FSL's BET (Smith 2002, doi:10.1002/hbm.10062)."""
    low, high = np.percentile(values, (2, 98))
    inside = values[values > low + 0.1 * (high - low)]
    return inside if inside.size else values
