"""Read one study from a file into a `Volume`, or refuse it in four lines.

NIfTI carries its frame. Pictures and .npy don't, and neither does a NIfTI without sform and qform: their
left and right stay unknown unless whoever gives the file declares them radiological. Not read yet: DICOM,
colour, 4-D.
"""

from pathlib import Path

import numpy as np

from model.imaging.files import Stored, kind_of, refused
from model.imaging.nifti import read_nifti
from model.imaging.pictures import read_npy, read_picture
from model.imaging.volume import MODALITIES, SLICE_AXIS, Volume
from model.interface.errors import BadInput

CT_BELOW_HU = -200
"""No MR we know stores values below this, every CT with air around the body does."""
LONGEST_ASPECT = 200


def read_volume(path: Path, *, modality: str | None = None, radiological: bool = False) -> Volume:
    """Read .nii, .nii.gz, .png, .jpg, .jpeg or .npy; raises BadInput.

    modality: "CT" or "MR" when it is known; otherwise values below -200 make it a CT, with a warning.
    radiological: where the file has no frame, declare its pictures axial, column 0 at the patient's
    right, row 0 anterior, slices from inferior to superior.
    """
    if modality is not None and modality not in MODALITIES:
        raise BadInput(
            f"unknown modality {modality!r}", where=f"{path.name}, modality", next="give CT, MR, or leave it out"
        )
    suffix = kind_of(path)
    match suffix:
        case ".nii" | ".nii.gz":
            stored = read_nifti(path)
        case ".npy":
            stored = read_npy(path)
        case _:
            stored = read_picture(path, suffix)
    kind, assumed = _modality(stored, modality)
    volume = _framed(path, stored, kind, stored.warnings + assumed, radiological)
    _check_voxels(path, volume.voxels)
    return volume


def _check_voxels(path: Path, voxels: np.ndarray) -> None:
    """Finite everywhere, and not the same everywhere."""
    low, high = float(voxels.min()), float(voxels.max())
    if not np.isfinite(low) or not np.isfinite(high):
        nan, infinite = int(np.isnan(voxels).sum()), int(np.isinf(voxels).sum())
        raise refused(
            path,
            "the image has voxels without a value",
            field="voxels",
            found=f"{nan} NaN and {infinite} infinite of {voxels.size}",
            wanted="finite numbers",
            next="replace them by the background value, if you know it",
        )
    if low == high:
        raise refused(
            path,
            "the image is constant",
            field="voxels",
            found=f"{low:g} everywhere",
            wanted="a picture",
            next="give another file: there is nothing to see in this one",
        )


def _modality(stored: Stored, declared: str | None) -> tuple[str, tuple[str, ...]]:
    """What the numbers mean, and what had to be assumed."""
    if declared == "CT" and not stored.hounsfield:
        return "", ("grey levels of a picture are not Hounsfield units: its window is taken from the picture",)
    if declared is not None:
        return declared, ()
    if stored.voxels.min() < CT_BELOW_HU:
        return "CT", (f"modality not declared: values below {CT_BELOW_HU} were taken for a CT",)
    return "", ()


def _framed(path: Path, stored: Stored, modality: str, warnings: tuple[str, ...], radiological: bool) -> Volume:
    """Find the plane, and say what left and right are, if anybody did."""
    voxels, affine = stored.voxels, stored.affine
    thin = [axis for axis, n in enumerate(voxels.shape) if n == 1]
    if len(thin) > 1:
        raise refused(
            path, "the image is a line", field="shape", found=_shape(voxels), wanted="at most one axis of length 1"
        )
    if stored.frame_known:
        plane = next((name for name, axis in SLICE_AXIS.items() if thin == [axis]), "axial")
        if radiological:
            warnings += ("the file knows its own frame: the declared one was not used",)
    else:
        plane = "axial" if radiological else "image"
        order = [axis for axis in range(3) if axis not in thin] + thin
        voxels, affine = voxels.transpose(order), np.diag([*np.diag(affine)[order], 1.0])
        if radiological:  # its x runs to the patient's left and its y to the back; RAS+ the other way
            voxels = voxels[::-1, ::-1]
    across, down = (n for axis, n in enumerate(voxels.shape) if axis != SLICE_AXIS[plane])
    if max(across, down) > LONGEST_ASPECT * min(across, down):
        wanted = f"an aspect of at most {LONGEST_ASPECT}:1"
        raise refused(path, "the image is too narrow", field="shape", found=_shape(voxels), wanted=wanted)
    return Volume(
        np.ascontiguousarray(voxels),
        affine,
        modality,
        stored.frame_known or radiological,
        plane,
        warnings,
        stored.spacing_known,
    )


def _shape(voxels: np.ndarray) -> str:
    return " x ".join(map(str, voxels.shape))
