"""NRRD and MetaImage through SimpleITK, an extra: `pip install unireason-med[itk]`.

ITK's world is LPS+ and its arrays are (z, y, x); both are turned here.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from model.imaging.reading.files import (
    NO_ORIENTATION,
    Stored,
    as_float32,
    bounded,
    check_affine,
    check_axes,
    oriented,
    refused,
)
from model.imaging.reading.planes import LPS_TO_RAS
from model.imaging.reading.quiet import quiet
from model.interface.errors import BadInput

HEADER = 1 << 16
"""Most bytes of a header."""
PATIENT = ("ras", "las", "lps", "right anterior superior", "left anterior superior", "left posterior superior")
"""NRRD's spaces that are a patient's."""
FORMATS = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}


def read_itk(path: Path) -> Stored:
    """Read one file of real numbers; raises BadInput."""
    try:
        import SimpleITK as sitk  # noqa: N813
    except ImportError as error:
        raise BadInput(
            "this kind of file needs SimpleITK",
            where=f"{path.name}, name: found {path.suffix}, wanted the extra `itk`",
            next="pip install 'unireason-med[itk]'",
        ) from error
    fields = _fields(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(FORMATS[path.suffix.lower()])
    try:
        with quiet():
            reader.ReadImageInformation()
            _check(path, reader, sitk)
            image = reader.Execute()
    except RuntimeError as error:
        raise refused(
            path, "the file is truncated or damaged", field="data", found="damage", wanted="a whole file"
        ) from error
    voxels = sitk.GetArrayFromImage(image)
    if voxels.ndim == 2:
        voxels = voxels[None]
    spacing = np.linalg.norm(_affine(reader)[:3, :3], axis=0)
    if not _knows_sides(fields, reader.GetDimension()):
        known = "spacings" in fields or "spacedirections" in fields or "elementspacing" in fields
        flat = as_float32(voxels.transpose(2, 1, 0))
        return Stored(flat, np.diag([*spacing, 1.0]), spacing_known=known, hounsfield=True, warnings=(NO_ORIENTATION,))
    affine = LPS_TO_RAS @ _affine(reader)
    check_affine(path, affine)
    turned, affine, index = oriented(as_float32(voxels.transpose(2, 1, 0)), affine)
    return Stored(turned, affine, frame_known=True, spacing_known=True, hounsfield=True, index=index)


def _fields(path: Path) -> dict[str, str]:
    """The header, lower case, spaces left out of keys; raises BadInput where it sends the reader to another file."""
    with path.open("rb") as stream:
        head = stream.read(HEADER)
    nrrd = head.startswith(b"NRRD")
    end = re.search(rb"\r?\n\r?\n", head) if nrrd else re.search(rb"ElementDataFile\s*=[^\n]*\n", head)
    if end is None:
        wanted = f"a header of up to {HEADER} bytes, with its voxels behind it"
        raise refused(path, "damaged header", field="header", found="no end of it", wanted=wanted)
    fields = {}
    for line in head[: end.end()].decode("latin-1").lower().splitlines():
        key, _, value = line.partition(":" if nrrd else "=")
        fields[key.replace(" ", "")] = value.lstrip("=").strip()
    if "datafile" in fields or fields.get("elementdatafile", "local") != "local":
        raise refused(path, "the voxels are in another file", field="data file", found="a name", wanted="one file")
    return fields


def _knows_sides(fields: dict[str, str], axes: int) -> bool:
    """The header says where its axes point in the patient; ITK makes up what it doesn't."""
    if axes != 3:
        return False
    if "space" in fields or "spacedirections" in fields:
        return "spacedirections" in fields and fields.get("space", "").replace("-", " ").split(" time")[0] in PATIENT
    return "transformmatrix" in fields or "orientation" in fields or "rotation" in fields


def _check(path: Path, reader: Any, sitk: Any) -> None:
    """What the header claims, before the voxels are read."""
    axes, channels = reader.GetDimension(), reader.GetNumberOfComponents()
    if axes not in (2, 3):
        raise refused(path, f"the image is {axes}-D", field="dimension", found=f"{axes}-D", wanted="2 or 3 axes")
    if channels != 1 or reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise refused(path, "not an image of real numbers", field="pixel", found=f"{channels} numbers", wanted="one")
    bounded(path, reader.GetSize(), 8 if reader.GetPixelID() in (sitk.sitkFloat64, sitk.sitkInt64) else 4)
    check_axes(path, _affine(reader))


def _affine(reader: Any) -> np.ndarray:
    """(4, 4), index (x, y, z) -> mm, LPS+."""
    axes = reader.GetDimension()
    affine = np.eye(4)
    direction = np.array(reader.GetDirection()).reshape(axes, axes)
    affine[:axes, :axes] = direction * np.array(reader.GetSpacing())
    affine[:axes, 3] = reader.GetOrigin()
    return affine
