"""From a volume to what the model sees, and to any closer look at it: one window, one renderer.

`prepare` is the whole study in model space; `render` is the same road for any box at any size, which
is how crops come from native resolution and still agree with the picture they were cut from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil, prod

import numpy as np

from model.imaging.frame import SHOWN, Frame, frame_of, plane_of
from model.imaging.resample import Span, sample
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract

ENOUGH = 400_000
"""Voxels that settle a percentile; of larger volumes every k-th along each axis is read."""
AIR_HU = -500
"""Half way between air and water."""


@dataclass(frozen=True, eq=False)
class Prepared:
    slices: np.ndarray
    """uint8 [n, h, w] or [n, h, w, 3], model space; n is 1 for an image."""
    frame: Frame
    volume: Volume
    windows: tuple[Span, ...]
    """Source values shown as black and as white, one window, or three that become channels; () of a colour picture."""
    contract: str
    """Digest of the contract it was prepared under: a checkpoint of another one refuses it."""

    @cached_property
    def across(self) -> Span | None:
        """Edges of the body along the source's x axis; None where there is no body to see."""
        columns = np.asarray(body_of(self.volume).any(axis=(1, 2)))
        there, scale = np.flatnonzero(columns), self.volume.shape[0] / len(columns)
        return (float(there[0] * scale), float((there[-1] + 1) * scale)) if there.size else None

    @property
    def dimension(self) -> int:
        """2 (one image) or 3 (a volume)."""
        return self.volume.dimension


def prepare(volume: Volume, contract: Contract) -> Prepared:
    """Window, then resample to model space."""
    if volume.is_colour and contract.channels != "colour":
        volume = replace(volume, warnings=(*volume.warnings, "colours are shown as grey levels"))
    windows = windows_of(volume, contract)
    frame = frame_of(volume, contract, covered_by(volume, contract))
    width, height, n = frame.shape
    slices = [render(volume, frame, windows, Box((0, 0, z), (width, height, z + 1)), (width, height)) for z in range(n)]
    return Prepared(np.stack(slices), frame, volume, windows, contract.digest())


def render(volume: Volume, frame: Frame, windows: Sequence[Span], box: Box, size: tuple[int, int]) -> np.ndarray:
    """The mean over a box's slices, as displayed, at a size of (columns, rows) -> uint8 [rows, columns], or [.., 3].

    box: model space; it may have fractional edges.
    """
    spans, sizes = frame.spans(box), frame.as_source((*size, 1))

    def shown(transfer: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        seen = sample(volume.voxels, spans, sizes, transfer)
        return np.clip(frame.displayed(seen)[0] + 0.5, 0, 255).astype(np.uint8)

    if not windows:
        return shown(np.asarray)
    pictures = [shown(partial(_grey, window=window)) for window in windows]
    return pictures[0] if len(pictures) == 1 else np.stack(pictures, -1)


def _grey(values: np.ndarray, window: Span) -> np.ndarray:
    low, high = window
    values = luminance(values) if values.ndim == 4 else values
    scale = np.float32(255 / (high - low))
    return (np.clip(values, low, high).astype(np.float32) - np.float32(low)) * scale


def luminance(voxels: np.ndarray) -> np.ndarray:
    """uint8 (x, y, z, 3) -> float32 (x, y, z): ITU-R BT.601, as JPEG has it."""
    return voxels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def blank(prepared: Prepared) -> Prepared:
    """The same study with nothing to see: every pixel black, crops too. The blank-image baseline."""
    volume, darkest = prepared.volume, min((low for low, _ in prepared.windows), default=0)
    black = np.full(volume.voxels.shape, darkest, np.uint8 if volume.is_colour else np.float32)
    return replace(prepared, slices=np.zeros_like(prepared.slices), volume=replace(volume, voxels=black))


def windows_of(volume: Volume, contract: Contract) -> tuple[Span, ...]:
    """Source values shown as black and white: fixed in HU for a CT, else percentiles of the foreground."""
    if volume.is_colour and contract.channels == "colour":
        return ()
    if volume.modality == "CT":
        return tuple((level - width / 2, level + width / 2) for level, width in contract.ct_windows_hu)
    low, high = (float(n) for n in np.percentile(_foreground(_thinned(volume)), contract.mr_percentiles))
    if low < high:
        return ((low, high),)
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    return ((low, high if low < high else low + 1),)


def body_of(volume: Volume) -> np.ndarray:
    """bool (x, y, z) of every k-th voxel: those brighter than air."""
    values = _thinned(volume)
    return values > (AIR_HU if volume.modality == "CT" else _threshold(values))


def covered_by(volume: Volume, contract: Contract) -> Span | None:
    """The slices that hold anything, from the first to the last; None where all are shown."""
    if contract.coverage == "whole" or volume.dimension == 2 or volume.is_colour:
        return None
    axis = SHOWN[plane_of(volume, contract)][0][2]
    others = tuple(a for a in range(3) if a != axis)
    limit = AIR_HU if volume.modality == "CT" else _threshold(_thinned(volume))
    there = np.flatnonzero(volume.voxels.max(axis=others) > limit)
    return (float(there[0]), float(there[-1] + 1)) if there.size else None


def _thinned(volume: Volume) -> np.ndarray:
    every = ceil((prod(volume.shape) / ENOUGH) ** (1 / 3))
    values = volume.voxels[::every, ::every, ::every].astype(np.float32)
    return luminance(values) if volume.is_colour else values


def _threshold(values: np.ndarray) -> float:
    """A tenth of the robust range, as in FSL's BET (Smith 2002, doi:10.1002/hbm.10062)."""
    low, high = np.percentile(values, (2, 98))
    return float(low + 0.1 * (high - low))


def _foreground(values: np.ndarray) -> np.ndarray:
    """Values above the threshold, all of them where none is."""
    inside = values[values > _threshold(values)]
    return inside if inside.size else values
