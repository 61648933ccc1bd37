"""A small asymmetric head of known geometry, and the 48 ways a file can store it."""

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff

from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract

CONTRACT = Contract(patch=8, merge=2, image_side=96, volume_side=64, slices=32, crop_side=32, crop_slices=4)
SHAPE = (26, 34, 18)
AFFINE = np.array([[1.5, 0, 0, -20], [0, 1.0, 0, -15], [0, 0, 2.0, 7], [0, 0, 0, 1]], float)
BLOB = Box.of((17, 22, 11, 22, 28, 15))
"""A bright block on the patient's right, anterior and superior of the middle; source voxels."""
ORIENTATIONS = [
    np.array(list(zip(axes, signs, strict=True)))
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
"""All 48 permutations and flips of three axes, as nibabel writes them."""


def voxels(seed: int = 0) -> np.ndarray:
    """float32 (x, y, z), RAS+: an ellipsoid of soft noise in black, with one bright block."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    noise = np.random.default_rng(seed).uniform(0, 20, SHAPE)
    array = np.where(sum(g**2 for g in grid) < 0.9, 100 + noise, 0).astype(np.float32)
    array[region(BLOB)] = 300
    return array


def region(box: Box) -> tuple[slice, ...]:
    """The voxels of a box of whole numbers, (x, y, z)."""
    return tuple(slice(int(low), int(high)) for low, high in zip(box.low, box.high, strict=True))


def head(seed: int = 0) -> Volume:
    return Volume(voxels(seed), AFFINE, "MR", True, "axial")


def slice_of(volume: Volume, plane: str, at: int) -> Volume:
    """One slice of a RAS+ volume as a volume of its own."""
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    cut = [slice(None)] * 3
    cut[axis] = slice(at, at + 1)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * at
    return Volume(volume.voxels[tuple(cut)], affine, volume.modality, True, plane)


def save(path: Path, array: np.ndarray, affine: np.ndarray, orientation: np.ndarray | None = None) -> Path:
    """Write a NIfTI whose axes are stored in another order and direction, the affine telling so."""
    if orientation is not None:
        array, affine = stored_as(array, affine, orientation)
    nib.Nifti1Image(array, affine).to_filename(path)
    return path


def stored_as(array: np.ndarray, affine: np.ndarray, orientation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes in another order and direction, and the affine that tells so."""
    return apply_orientation(array, orientation), affine @ inv_ornt_aff(orientation, array.shape)
