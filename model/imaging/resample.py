"""Resampling along the axes, centre-aligned, exact on ramps: the only interpolation in the house.

An output pixel covers an interval of the source, both measured in *edges* (voxel i covers [i, i + 1)).
Its value is linear interpolation averaged over the part of that interval which lies between the outermost
voxel centres that fit in it: a point when enlarging, the plain mean when halving, nothing at all when
the grids agree. A linear ramp therefore comes out as the same ramp, at any ratio, borders included
(there enlarging extrapolates by at most half a voxel).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, floor

import numpy as np

NO_WIDTH = 1e-6
"""Voxels: an average over less than twice this is a point."""
Span = tuple[float, float]
"""An interval in edges; low > high reads it backwards, which is how a flip is said."""


@lru_cache(maxsize=4096)
def weights(n: int, low: float, high: float, size: int) -> tuple[slice, np.ndarray]:
    """From the span [low, high) of n voxels to `size` pixels.

    Returns the voxels that matter and float32[size, that many], rows summing to 1; treat as read-only.
    """
    step = (high - low) / size
    half = max(abs(step) - 1, 0) / 2
    if half < NO_WIDTH:  # a ratio of 1 that rounding made a hair more
        half = 0.0
    middles = low + (np.arange(size) + 0.5) * step - 0.5
    dense = _ramps(middles - half, middles + half, n) if half > 0 else _points(middles, n)
    used = np.flatnonzero(dense.any(axis=0))
    kept = slice(int(used[0]), int(used[-1]) + 1)
    matrix = np.ascontiguousarray(dense[:, kept], dtype=np.float32)
    matrix.setflags(write=False)
    return kept, matrix


def sample(
    voxels: np.ndarray,
    spans: Sequence[Span],
    sizes: Sequence[int],
    transfer: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> np.ndarray:
    """Resample an array through one span and one size for each of its first axes -> float32, `sizes` and the rest.

    transfer: a function of grey levels, applied before averaging and only to the voxels that are used.
    """
    chosen = [weights(n, *span, size) for n, span, size in zip(voxels.shape, spans, sizes, strict=False)]
    picture = transfer(voxels[tuple(kept for kept, _ in chosen)]).astype(np.float32, copy=False)
    for axis, (_, matrix) in reversed(list(enumerate(chosen))):
        picture = np.moveaxis(np.tensordot(picture, matrix, (axis, 1)), -1, axis)
    return picture


def _points(at: np.ndarray, n: int) -> np.ndarray:
    """Linear interpolation at index positions `at`, extrapolating past the last centres: float64[len(at), n]."""
    dense = np.zeros((len(at), n))
    if n == 1:
        return dense + 1
    first = np.clip(np.floor(at), 0, n - 2).astype(int)
    rows = np.arange(len(at))
    dense[rows, first] = first + 1 - at
    dense[rows, first + 1] = at - first
    return dense


def _ramps(low: np.ndarray, high: np.ndarray, n: int) -> np.ndarray:
    """Mean of the linear interpolant between index positions low < high: float64[len(low), n]."""
    dense = np.zeros((len(low), n))
    for row, (a, b) in enumerate(zip(low, high, strict=True)):
        knots = np.unique([a, *range(ceil(a), floor(b) + 1), b])
        # The interpolant is straight between knots, so its integral there is width x value at the middle.
        width = np.diff(knots)
        dense[row] = width @ _points(knots[:-1] + width / 2, n) / (b - a)
    return dense
