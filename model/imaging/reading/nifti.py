"""NIfTI-1 and NIfTI-2, in one file, to RAS+ float32.

Every header field that can hurt is read before nibabel sees the file, so that a bad one is named. The
sform wins over the qform, as in nibabel; where neither is set the file doesn't know left from right, and
voxels stay as stored. An oblique affine is kept: axes are permuted and flipped, never rotated.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np
from nibabel.affines import obliquity
from nibabel.spatialimages import HeaderDataError

from model.imaging.reading.files import (
    NO_ORIENTATION,
    Stored,
    bounded,
    check_affine,
    check_index,
    oriented,
    refused,
    rescaled,
)

DATA_TYPES = (2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280)
"""Real numbers of up to 64 bits."""
COLOUR = (128, 2304)
COMPLEX = (32, 1792, 2048)
MM_A_UNIT = {1: 1000.0, 3: 0.001}
"""xyzt_units: metre and micrometre; everything else is read as mm."""
SLACK = 1 << 20
"""Bytes that may follow the voxels."""
MOST_EXTENSIONS = 32 << 20
"""Bytes between header and voxels: some converters put a whole DICOM header there."""
OBLIQUE_DEGREES = 10
MOST_4D_MIB = 4096
"""Of all volumes of a 4-D file, of which one is kept, MiB as stored."""

Header = nib.Nifti1Header
Stream = IO[bytes] | gzip.GzipFile


def read_nifti(path: Path, index: int | None = None) -> Stored:
    """Read .nii or .nii.gz; raises BadInput naming the field. index: which volume of a 4-D file, from 0."""
    try:
        with _opened(path) as stream:
            header = _header(path, stream)
            stored = _stored(path, stream, header, index)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        broken = "a wrong checksum" if "CRC" in str(error) else "a truncated or damaged stream"
        raise refused(
            path, "the file does not decompress", field="gzip", found=broken, wanted="a whole file"
        ) from error
    warnings: list[str] = []
    voxels = _rescaled(path, header, stored, warnings)
    affine = _affine(path, header, warnings)
    if affine is None:
        return _unframed(header, voxels, (*warnings, NO_ORIENTATION))
    turned, affine, to_file = oriented(voxels, affine)
    return Stored(
        turned,
        affine,
        frame_known=True,
        spacing_known=True,
        hounsfield=True,
        warnings=tuple(warnings),
        index=to_file,
    )


def header_of(path: Path) -> tuple[Header, bool]:
    """The header of a file that has been read before, and whether it is extended."""
    with _opened(path) as stream:
        return _header(path, stream), stream.read(1) not in (b"", b"\0")


def _opened(path: Path) -> Stream:
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _header(path: Path, stream: Stream) -> Header:
    """The first 348 or 540 bytes, checked to be one file of real numbers."""
    start = stream.read(4)
    little, big = (struct.unpack(f"{end}i", start)[0] if len(start) == 4 else 0 for end in "<>")
    if not {348, 540} & {little, big}:
        raise refused(path, "not a NIfTI header", field="sizeof_hdr", found=little, wanted="348 or 540")
    kind = nib.Nifti2Header if 540 in (little, big) else Header
    block = start + stream.read(kind.sizeof_hdr - 4)
    if len(block) < kind.sizeof_hdr:
        found = f"{len(block)} bytes"
        raise refused(path, "the header is truncated", field="header", found=found, wanted=f"{kind.sizeof_hdr}")
    header = kind(block, endianness="<" if kind.sizeof_hdr == little else ">", check=False)
    _check_kind(path, header)
    return header


def _stored(path: Path, stream: Stream, header: Header, index: int | None) -> np.ndarray:
    """The voxels as stored, (x, y, z); reads the stream to its end."""
    shape, volumes, dtype = _shape(path, header), _volumes(path, header, index), header.get_data_dtype()
    size = bounded(path, shape, dtype.itemsize)
    if size * volumes > MOST_4D_MIB << 20:
        found = f"{size * volumes >> 20} MiB in {volumes} volumes"
        raise refused(path, "the file is over the size limit", field="dim", found=found, wanted=f"{MOST_4D_MIB} MiB")
    gap = _begin(path, header) - header.sizeof_hdr
    extension = stream.read(gap)
    begun = stream.read(min(8, size)) if index else b""
    _skip(stream, size * (index or 0) - len(begun))
    raw = stream.read(size)
    if len(extension) < gap or not raw:
        found = f"{header.sizeof_hdr + gap}, at or past the end"
        raise refused(path, "no voxel data in the file", field="vox_offset", found=found, wanted=f"{size} bytes there")
    if len(raw) < size:
        raise refused(path, "the voxels are truncated", field="voxels", found=f"{len(raw)} bytes", wanted=f"{size}")
    _check_extension(path, header, len(extension), extension + (begun or raw[:8]))
    _skip(stream, size * (volumes - 1 - (index or 0)))
    if len(stream.read(SLACK + 1)) > SLACK:  # reading to the end is also what checks the gzip checksum
        raise refused(path, "more bytes than voxels", field="size", found="over 1 MiB too many", wanted=f"{size}")
    return np.frombuffer(raw, dtype).reshape(shape, order="F")


def _check_kind(path: Path, header: Header) -> None:
    """One file, of real numbers."""
    magic, code = bytes(header["magic"]), int(header["datatype"])
    if magic.startswith(b"ni1"):
        raise refused(
            path, "half of a two-file image", field="magic", found="ni1 (.hdr and .img)", wanted="n+1, one file"
        )
    if magic[:3] not in (b"n+1", b"n+2"):
        raise refused(path, "not a NIfTI header", field="magic bytes", found=magic[:4], wanted="n+1 or n+2")
    if code in COLOUR:
        raise refused(path, "RGB voxels are not read", field="datatype", found=f"RGB ({code})", wanted="grey values")
    if code in COMPLEX:
        raise refused(
            path, "complex voxels are not read", field="datatype", found=f"complex ({code})", wanted="real numbers"
        )
    if code not in DATA_TYPES:
        known = ", ".join(map(str, DATA_TYPES))
        raise refused(path, "unknown data type", field="datatype", found=f"data type {code}", wanted=f"one of {known}")


def _shape(path: Path, header: Header) -> tuple[int, int, int]:
    """(x, y, z) as stored."""
    dim = [int(n) for n in header["dim"]]
    axes = dim[0]
    if not 2 <= axes <= 7:
        raise refused(path, "not an image", field="dim[0]", found=axes, wanted="2 or 3 axes")
    for axis in range(1, axes + 1):
        if dim[axis] < 1:
            raise refused(path, "an axis has no length", field=f"dim[{axis}]", found=dim[axis], wanted="at least 1")
    return dim[1], dim[2], dim[3] if axes > 2 else 1


def _volumes(path: Path, header: Header, index: int | None) -> int:
    """How many volumes there are; raises BadInput where there are several and none was chosen."""
    dim = [int(n) for n in header["dim"]]
    axes, later = dim[0], prod(dim[4 : dim[0] + 1])
    if index is None and later == 1:
        return 1
    if index is None or any(n > 1 for n in dim[5 : axes + 1]):
        raise refused(
            path,
            f"the image is {axes}-D",
            field="dim",
            found=f"{axes}-D, {' x '.join(map(str, dim[1 : axes + 1]))}",
            wanted="a 3-D image",
            next=f"choose one of its volumes with --index 0 to {later - 1}"
            if later == dim[4]
            else "save one of its volumes as a file of its own",
        )
    check_index(path, "volume", index, later)
    return later


def _skip(stream: Stream, n: int) -> None:
    """Read past n bytes without keeping them: a gzip stream can't seek for free."""
    while n > 0 and (read := len(stream.read(min(n, SLACK)))):
        n -= read


def _begin(path: Path, header: Header) -> int:
    """Where the voxels start."""
    offset = float(header["vox_offset"])
    least = header.sizeof_hdr + 4
    if not np.isfinite(offset):
        raise refused(path, "damaged header", field="vox_offset", found="not a number", wanted=f"at least {least}")
    if offset < 0:
        raise refused(
            path, "damaged header", field="vox_offset", found=f"negative, {offset:g}", wanted=f"at least {least}"
        )
    if offset > MOST_EXTENSIONS:
        raise refused(path, "damaged header", field="vox_offset", found=f"{offset:g}", wanted="up to 32 MiB")
    return max(int(offset), least)


def _check_extension(path: Path, header: Header, room: int, start: bytes) -> None:
    """A flagged extension must end where the voxels begin.

    room: bytes between header and voxels, the four flag bytes included; start: those and a few more.
    """
    if not start[0] or len(start) < 8:
        return
    claimed = struct.unpack_from(f"{header.endianness}i", start, 4)[0]
    if not 8 <= claimed <= room - 4:
        wanted = f"8 to {room - 4} bytes" if room >= 12 else "none"
        raise refused(path, "damaged header", field="extension", found=f"{claimed} bytes", wanted=wanted)


def _rescaled(path: Path, header: Header, stored: np.ndarray, warnings: list[str]) -> np.ndarray:
    """Slope and intercept applied."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:  # "not scaled", says the standard, but not of NaN
        if not np.isfinite(slope) and np.isfinite(inter):
            warnings.append("scl_slope is not a number: the voxels are taken as they are stored")
        return rescaled(stored, 1, 0)
    if not np.isfinite(inter):
        raise refused(path, "damaged header", field="scl_inter", found="not a number", wanted="a number")
    voxels = rescaled(stored, slope, inter)
    # the ends say whether all are finite, without a mask of the volume's size
    if np.isfinite([stored.min(), stored.max()]).all() and not np.isfinite([voxels.min(), voxels.max()]).all():
        found = f"overflow at {slope:g}"
        raise refused(path, "rescaling overflows", field="scl_slope", found=found, wanted="values in float32")
    return voxels


def _affine(path: Path, header: Header, warnings: list[str]) -> np.ndarray | None:
    """Voxel index to mm, or None where the file has none; tells what was assumed in `warnings`."""
    sform = _form(path, header, "sform")
    qform = _form(path, header, "qform", needed=sform is None)
    affine = qform if sform is None else sform
    if affine is None:
        return None
    affine = np.diag([*[_mm_a_unit(header)] * 3, 1.0]) @ affine
    check_affine(path, affine)
    if sform is not None and qform is not None and _apart(sform, qform, _shape(path, header)) > 0.5:
        warnings.append("sform and qform disagree: the sform is used")
    angle = float(np.degrees(obliquity(affine)).max())
    if angle > OBLIQUE_DEGREES:
        warnings.append(f"oblique by {angle:.0f} degrees: shown along the scan's own axes")
    return affine


def _mm_a_unit(header: Header) -> float:
    return MM_A_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)


def _form(path: Path, header: Header, name: str, needed: bool = True) -> np.ndarray | None:
    """The sform or qform, None when its code is 0; or when it is broken and not needed."""
    try:
        form = header.get_sform(coded=True)[0] if name == "sform" else header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError) as error:
        if not needed:
            return None
        raise refused(path, "damaged header", field=name, found="no rotation", wanted="a unit quaternion") from error
    return None if form is None else np.asarray(form, float)


def _apart(a: np.ndarray, b: np.ndarray, shape: tuple[int, int, int]) -> float:
    """Largest distance between two affines over the corners, in voxels of the first."""
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])])
    return float(np.abs(corners @ (np.linalg.inv(a) @ b - np.eye(4)).T).max()) if np.isfinite(b).all() else np.inf


def _unframed(header: Header, voxels: np.ndarray, warnings: tuple[str, ...]) -> Stored:
    """Voxels as stored, with their spacing where there is one."""
    spacing = np.array(header["pixdim"][1:4], float) * _mm_a_unit(header)
    known = bool(np.isfinite(spacing).all() and (spacing > 0).all())
    if not known:
        spacing, warnings = np.ones(3), (*warnings, "no voxel size in the file: 1 mm is assumed")
    return Stored(voxels, np.diag([*spacing, 1.0]), spacing_known=known, hounsfield=True, warnings=warnings)
