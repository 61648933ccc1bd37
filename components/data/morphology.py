"""The few shapes-of-masks operations the generator uses, with plain arrays in and out."""

import numpy as np
from scipy import ndimage as ndi

TOUCHING = np.ones((3, 3, 3))
"""Voxels that share a corner belong together."""


def depth(mask: np.ndarray, spacing_mm: float | np.ndarray = 1.0) -> np.ndarray:
    """Distance of each voxel inside the mask to the nearest one outside, mm."""
    return np.asarray(ndi.distance_transform_edt(mask, sampling=spacing_mm))


def nearest_inside(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """For each voxel the index of the nearest one in the mask, an array an axis."""
    return tuple(np.asarray(ndi.distance_transform_edt(~mask, return_distances=False, return_indices=True)))


def pieces(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels of the separate pieces, from 1, and how many there are."""
    found = np.zeros(mask.shape, np.int32)
    count = ndi.label(mask, TOUCHING, output=found)
    return found, int(count)  # pyright: ignore[reportArgumentType]


def stretched(values: np.ndarray, factors: float | list[float], order: int) -> np.ndarray:
    return np.asarray(ndi.zoom(values, factors, order=order))
