"""Read one study into a `Volume`, or refuse it in four lines.

NIfTI, DICOM, NRRD and MetaImage carry their frame, an .npz may. Pictures and .npy don't, and neither does a NIfTI
without sform and qform: their left and right stay unknown unless whoever gives the file declares them radiological.
"""

from pathlib import Path

import numpy as np
from nibabel.orientations import inv_ornt_aff

from model.imaging.reading.declared import Declared
from model.imaging.reading.files import NO_ORIENTATION, Stored, kind_of, refused
from model.imaging.reading.planes import LPS_TO_RAS
from model.imaging.volume import MODALITIES, SLICE_AXIS, FileGrid, Volume

CT_BELOW_HU = -200
"""No MR we know stores values below this, every CT with air around the body does."""
LONGEST_ASPECT = 200
COLOUR_TOLERANCE = 2
"""Channels of a grey picture stored as RGB may differ by this much, grey levels."""
CHOSEN = ("DICOM", ".nii", ".nii.gz", ".tif", ".tiff", ".webp", ".png", ".jpg", ".jpeg")
"""Kinds that may hold several pictures or volumes."""
MOST_INVALID = 0.05
"""Share of voxels that may be NaN or infinite."""
LARGEST_LABEL = (1 << 16) - 1
"""A map with larger numbers is no label map."""


def read_volume(path: Path, declared: Declared | None = None) -> Volume:
    """Read .nii, .nii.gz, DICOM (file, folder, .zip), .nrrd, .mha, .npy, .npz, PNG, JPEG, WebP or TIFF.

    Raises BadInput, naming file, field, what was found and what was wanted.
    """
    volume = _read(path, declared or Declared())
    _check_contrast(path, volume.voxels)
    return volume


def read_labels(path: Path, declared: Declared | None = None) -> Volume:
    """A label map, or a mask, of any kind `read_volume` reads and brought to RAS+ as that does it.

    Its voxels are whole numbers from 0 to `LARGEST_LABEL`, as stored; all may be the same. Raises BadInput.
    """
    volume = _read(path, declared or Declared())
    voxels = volume.voxels
    if volume.is_colour:
        raise refused(path, "labels in colours are not read", field="voxels", found="colours", wanted="whole numbers")
    low, high = float(voxels.min()), float(voxels.max())
    if low < 0 or high > LARGEST_LABEL or (voxels.dtype.kind == "f" and not (voxels == np.rint(voxels)).all()):
        found = f"{low:g} to {high:g}" + ("" if low < 0 or high > LARGEST_LABEL else ", with fractions")
        raise refused(
            path, "not a label map", field="voxels", found=found, wanted=f"whole numbers from 0 to {LARGEST_LABEL}",
            next="give the labels as they were drawn, not resampled between their values",
        )  # fmt: skip
    return volume


def _read(path: Path, declared: Declared) -> Volume:
    if declared.modality is not None and declared.modality not in MODALITIES:
        known = ", ".join(filter(None, MODALITIES))
        raise refused(
            path, f"unknown modality {declared.modality!r}", field="--modality", found=declared.modality,
            wanted=f"one of {known}", next="give one of these, or leave it out",
        )  # fmt: skip
    kind = kind_of(path)
    _check_declared(path, kind, declared)
    stored = _stored(path, kind, declared)
    modality, assumed = _modality(stored, declared.modality)
    voxels, mended = _mended(path, _without_colour(stored.voxels))
    return _framed(path, stored, voxels, modality, stored.warnings + assumed + mended, declared.radiological)


def _check_declared(path: Path, kind: str, declared: Declared) -> None:
    """What is chosen must be there to be chosen from."""
    for name, value, kinds in (("--index", declared.index, CHOSEN), ("--series", declared.series, ("DICOM",))):
        if value is not None and kind not in kinds:
            found, wanted = f"{value}, of a {kind} file", f"one of: {', '.join(kinds)}"
            raise refused(path, "this kind of file holds nothing to choose", field=name, found=found, wanted=wanted)


def _stored(path: Path, kind: str, declared: Declared) -> Stored:
    # Each reader's library is loaded with it: a PNG needs no DICOM decoder.
    match kind:
        case ".nii" | ".nii.gz":
            from model.imaging.reading.nifti import read_nifti

            return read_nifti(path, declared.index)
        case "DICOM":
            from model.imaging.reading.dicom import read_dicom

            return read_dicom(path, declared)
        case ".nrrd" | ".mha":
            from model.imaging.reading.itk import read_itk

            return read_itk(path)
        case ".npy" | ".npz":
            from model.imaging.reading.arrays import read_array

            return read_array(path, kind)
        case _:
            from model.imaging.reading.pictures import read_picture

            return read_picture(path, kind, declared.index)


def _without_colour(voxels: np.ndarray) -> np.ndarray:
    """A grey picture stored as RGB is grey: float32 (x, y, z)."""
    if voxels.ndim == 3 or np.ptp(voxels, axis=3).max(initial=0) > COLOUR_TOLERANCE:
        return voxels
    return voxels.mean(axis=3, dtype=np.float32)


def _mended(path: Path, voxels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Voxels without a value set to the lowest one, infinite ones to the nearest finite, where they are few."""
    # min and max see what isfinite would, without a mask of the volume's size
    if voxels.dtype.kind != "f" or np.isfinite([voxels.min(), voxels.max()]).all():
        return voxels, ()
    nan, infinite = np.isnan(voxels), np.isinf(voxels)
    found, bad = f"{nan.sum()} NaN and {infinite.sum()} infinite of {voxels.size}", int(nan.sum() + infinite.sum())
    if bad > MOST_INVALID * voxels.size:
        raise refused(
            path,
            "the image has voxels without a value",
            field="voxels",
            found=found,
            wanted=f"finite numbers, all but {MOST_INVALID:.0%}",
            next="replace them by the background value, if you know it",
        )
    finite = voxels[~(nan | infinite)]
    low, high = float(finite.min()), float(finite.max())
    return np.nan_to_num(voxels, nan=low, posinf=high, neginf=low), (f"voxels: {found}: set to {low:g} or {high:g}",)


def _check_contrast(path: Path, voxels: np.ndarray) -> None:
    axes = (0, 1, 2)
    low, high = voxels.min(axis=axes), voxels.max(axis=axes)
    if (low == high).all():
        low = float(np.mean(low))
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
    said = stored.modality if stored.modality in MODALITIES else ""
    if said:
        return ("" if said == "CT" and not stored.hounsfield else said), ()
    if declared == "CT" and not stored.hounsfield:
        return "", ("grey levels of a picture are not Hounsfield units: its window is taken from the picture",)
    if declared is not None:
        return declared, ()
    if stored.hounsfield and stored.voxels.min() < CT_BELOW_HU:
        return "CT", (f"modality not declared: values below {CT_BELOW_HU} were taken for a CT",)
    return "", ()


def _framed(
    path: Path, stored: Stored, voxels: np.ndarray, modality: str, warnings: tuple[str, ...], radiological: bool
) -> Volume:
    """Find the plane, and say what left and right are, if anybody did."""
    affine, index = stored.affine, stored.index
    thin = [axis for axis, n in enumerate(voxels.shape[:3]) if n == 1]
    if len(thin) > 1:
        raise refused(
            path, "the image is a line", field="shape", found=_shape(voxels),
            wanted=f"a picture, an aspect of at most {LONGEST_ASPECT}:1",
        )  # fmt: skip
    meant = "as declared" if radiological else "not known"
    warnings = tuple(f"{one}: left and right are {meant}" if one == NO_ORIENTATION else one for one in warnings)
    if stored.frame_known:
        plane = next((name for name, axis in SLICE_AXIS.items() if thin == [axis]), "axial")
        if radiological:
            warnings += ("the file knows its own frame: the declared one was not used",)
    else:
        plane = "axial" if radiological else "image"
        order = [axis for axis in range(3) if axis not in thin] + thin
        voxels = voxels.transpose(*order, *range(3, voxels.ndim))
        affine = np.diag([*np.diag(affine)[order], 1.0])
        index = index @ np.eye(4)[:, [*order, 3]]
        if radiological:  # its x runs to the patient's left and its y to the back; RAS+ the other way
            turn = inv_ornt_aff([(0, -1), (1, -1), (2, 1)], voxels.shape[:3])
            index, affine = index @ turn, LPS_TO_RAS @ affine @ turn  # mm from the file's first voxel, as ITK has it
            voxels = voxels[::-1, ::-1]
    across, down = (n for axis, n in enumerate(voxels.shape[:3]) if axis != SLICE_AXIS[plane])
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
        _grid(stored, index),
    )


def _grid(stored: Stored, index: np.ndarray) -> FileGrid:
    """index: (4, 4), the volume's voxel index to the file's."""
    x, y, z = (int(n) for n in np.rint(np.abs(stored.index[:3, :3]) @ stored.voxels.shape[:3]))
    return FileGrid((x, y, z), index)


def _shape(voxels: np.ndarray) -> str:
    return " x ".join(map(str, voxels.shape[:3]))
