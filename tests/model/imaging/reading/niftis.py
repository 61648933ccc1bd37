"""NIfTI files made here: a known volume, and the same with bytes of its header replaced."""

import struct

import nibabel as nib
import numpy as np

from tests.model.imaging.phantom import AFFINE, voxels


def image(array: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> bytes:
    """array: (x, y, z), the head's by default."""
    return nib.Nifti1Image(np.round(voxels()).astype(np.int16) if array is None else array, affine).to_bytes()


def patched(offset: int, layout: str, *values: object, raw: bytes | None = None) -> bytes:
    """With the values packed at a place of the header; see https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h."""
    changed = bytearray(image() if raw is None else raw)
    struct.pack_into(layout, changed, offset, *values)
    return bytes(changed)


def dims(*eight: int, raw: bytes | None = None) -> bytes:
    return patched(40, "<8h", *eight, raw=raw)
