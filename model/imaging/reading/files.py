"""Files at the door: what a file claims to be, what it is, and how it is refused.

Nothing is decoded here. A reader trusts the name only when the first bytes agree with it, and a file is
bounded by what its header claims before a byte of it is allocated.
"""

import stat
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from model.interface.errors import BadInput

LIMIT_MIB = 512
"""Largest array read, MiB as stored."""
SUFFIXES = {
    ".nii.gz": "gzip",
    ".nii": "NIfTI",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WebP",
    ".tiff": "TIFF",
    ".tif": "TIFF",
    ".npy": "npy",
    ".npz": "zip",
    ".nrrd": "NRRD",
    ".mha": "MetaImage",
    ".zip": "zip",
}
"""What is read, by the end of the name, and the kind its first bytes must show."""
KINDS: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "DICOM"),  # first: its preamble may hold another format's magic
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (8, b"WEBP", "WebP"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"NRRD000", "NRRD"),
    (0, b"ObjectType = Image", "MetaImage"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"GIF8", "GIF"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"%!PS", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"version https://git-lfs", "Git-LFS pointer (run: git lfs pull)"),
    (344, b"n+1\0", "NIfTI"),
    (344, b"ni1\0", "NIfTI"),
    (4, b"n+2\0", "NIfTI"),
)
"""(offset, bytes there, kind)."""


NO_ORIENTATION = "no orientation in the file"
"""A reader's warning, which `read` ends by what that means."""
AGAIN = "export the file again from where it came, and repeat the command"


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file held, before anyone said what it means."""

    voxels: np.ndarray
    """int16 or float32 (x, y, z), uint8 (x, y, z, 3) in colour: RAS+ when the frame is known, else x to the right,
    y down, z slices."""
    affine: np.ndarray
    """(4, 4), voxel index to mm."""
    frame_known: bool = False
    spacing_known: bool = False
    hounsfield: bool = False
    """The numbers may be Hounsfield units; a picture's grey levels can't be."""
    warnings: tuple[str, ...] = ()
    modality: str = ""
    """As the file says it, "" where it doesn't."""
    index: np.ndarray = field(default_factory=lambda: np.eye(4))
    """(4, 4) from these voxels' index to the file's, see `FileGrid`."""


def rescaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """slope * stored + intercept: int16 where that is exact, as it is of most scans, else float32."""
    if stored.dtype.kind in "iu" and stored.size and float(slope).is_integer() and float(intercept).is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
        if min(ends) >= -(1 << 15) and max(ends) < 1 << 15 and abs(slope) < 1 << 15 and abs(intercept) < 1 << 15:
            out = stored.astype(np.int16)  # whatever wraps on the way wraps back: the ends fit
            if slope != 1:
                out *= np.int16(slope)
            if intercept != 0:
                out += np.int16(intercept)
            return out
    values = as_float32(stored)
    with np.errstate(over="ignore", invalid="ignore"):
        if slope != 1:
            values *= np.float32(slope)
        if intercept != 0:
            values += np.float32(intercept)
    return values


def as_float32(values: np.ndarray) -> np.ndarray:
    """Anew; what is too large becomes infinite, which is told later."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32)


def check_index(path: Path, what: str, index: int, n: int) -> None:
    """A frame, a volume or a picture that was asked for must be there; raises BadInput."""
    if not 0 <= index < n:
        wanted = f"0 to {n - 1}"
        raise refused(
            path, f"no such {what}", field="--index", found=index, wanted=wanted, next=f"give one of {wanted}"
        )


def check_axes(path: Path, affine: np.ndarray) -> None:
    """An affine is of finite numbers, and its three axes are independent; raises BadInput."""
    if affine.shape != (4, 4):
        raise refused(path, "not an affine", field="affine", found=affine.shape, wanted="(4, 4)")
    if not np.isfinite(affine).all():
        raise refused(path, "not an affine", field="affine", found="NaN or infinite", wanted="finite numbers")
    if np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise refused(path, "not an affine", field="affine", found="singular", wanted="three independent axes")
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        raise refused(path, "not an affine", field="affine", found="another last row", wanted="0, 0, 0, 1")


def check_affine(path: Path, affine: np.ndarray) -> None:
    """`check_axes`, and voxels between a micrometre and a metre in a plausible place; raises BadInput."""
    check_axes(path, affine)
    pitch = np.linalg.norm(affine[:3, :3], axis=0)
    if pitch.min() < 1e-3 or pitch.max() > 1e3 or np.abs(affine[:3, 3]).max() > 1e6:
        found = f"{pitch.min():.3g} to {pitch.max():.3g} mm a voxel"
        raise refused(path, "no body is of this size", field="affine", found=found, wanted="0.001 to 1000 mm a voxel")


def oriented(voxels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes permuted and flipped, never rotated, so that they come closest to RAS+.

    voxels: (x, y, z) or (x, y, z, channel); affine: (4, 4), voxel index to mm, RAS+. Returns both anew, and the
    (4, 4) from the new index to the old.
    """
    orientation = io_orientation(affine)
    index = inv_ornt_aff(orientation, voxels.shape[:3])
    return np.ascontiguousarray(apply_orientation(voxels, orientation)), affine @ index, index


def refused(path: Path, what: str, *, field: str, found: object, wanted: str, next: str = "") -> BadInput:
    """The one shape of a refusal: file, field, found, wanted. Only the file's own name is told."""
    where = f"{path.name}, {field}: found {found}, wanted {wanted}"
    return BadInput(what, where=where, next=next or AGAIN)


def kind_of(path: Path) -> str:
    """The end of the name that is read (a key of `SUFFIXES`), once the bytes agree with it, or "DICOM".

    DICOM files are called anything: one is known by its bytes, a folder is taken for a series.
    """
    if path.is_dir():
        return "DICOM"
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
    found = _kind(_head(path))
    if found == "DICOM" or suffix == ".zip":
        return "DICOM"
    if suffix is None and path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        raise refused(path, "not a DICOM file", field="preamble", found=found, wanted="DICM at byte 128")
    if suffix is None:
        known = ", ".join(SUFFIXES)
        raise refused(
            path,
            "this kind of file is not read",
            field="name",
            found=f"{path.suffix or 'no suffix'}, {found}",
            wanted=f"DICOM, {known}",
            next="convert it to one of these",
        )
    wanted = SUFFIXES[suffix]
    # A broken NIfTI shows no magic: its reader then tells which field is wrong.
    if found == wanted or (wanted == "NIfTI" and found == "unknown bytes"):
        return suffix
    rename = next((s for s, kind in SUFFIXES.items() if kind == found), None)
    raise refused(
        path,
        "the file is not what its name says",
        field="first bytes",
        found=found,
        wanted=wanted,
        next=f"rename to {rename} if that is what it is" if rename else f"export it as {suffix}",
    )


def bounded(path: Path, shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes of an array that a header claims, refused when it is over the limit or empty."""
    size = prod(shape) * itemsize
    if max(shape, default=0) > 1 << 40:
        raise refused(path, "the file is over the size limit", field="shape", found="an axis of over 10^12",
                      wanted=f"up to {LIMIT_MIB} MiB")  # fmt: skip
    if min(shape, default=0) <= 0:
        raise refused(path, "the array is empty", field="shape", found=shape, wanted="no axis of length 0")
    if size > LIMIT_MIB << 20:
        raise refused(
            path,
            "the file is over the size limit",
            field="shape",
            found=f"{shape}, {_told(size)}",
            wanted=f"up to {LIMIT_MIB} MiB",
        )
    return size


def _head(path: Path) -> bytes:
    """First bytes of a regular file that is not empty."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise refused(path, "not a file that can be read", field="path", found="a device", wanted="a regular file")
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise refused(path, "the file can't be opened", field="path", found=reason, wanted="a readable file") from error
    if not head:
        raise refused(path, "the file is empty", field="size", found="0 bytes", wanted="an image")
    return head


def _kind(head: bytes) -> str:
    for offset, magic, kind in KINDS:
        if head[offset : offset + len(magic)] == magic:
            return kind
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML page"
    if text.startswith((b"<svg", b"<?xml")):
        return "SVG or XML text"
    return "unknown bytes"


def _told(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
