"""Files at the door: what a file claims to be, what it is, and how it is refused.

Nothing is decoded here. A reader trusts the name only when the first bytes agree with it, and a file is
bounded by what its header claims before a byte of it is allocated.
"""

import stat
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from model.interface.errors import BadInput

LIMIT_MIB = 512
"""Largest array read, MiB as stored."""
SUFFIXES = {
    ".nii.gz": "gzip",
    ".nii": "NIfTI",
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".npy": "npy",
}
"""What is read, by the end of the name, and the kind its first bytes must show."""
KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"GIF8", "GIF"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"%!PS", "EPS"),
    (0, b"%PDF", "PDF"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"version https://git-lfs", "Git-LFS pointer (run: git lfs pull)"),
    (128, b"DICM", "DICOM"),
    (344, b"n+1\0", "NIfTI"),
    (344, b"ni1\0", "NIfTI"),
    (4, b"n+2\0", "NIfTI"),
)
"""(offset, bytes there, kind)."""


AGAIN = "export the file again from where it came, and repeat the command"


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file held, before anyone said what it means."""

    voxels: np.ndarray
    """float32 (x, y, z): RAS+ when the frame is known, else x to the right, y down, z slices."""
    affine: np.ndarray
    """(4, 4), voxel index to mm."""
    frame_known: bool = False
    spacing_known: bool = False
    hounsfield: bool = False
    """The numbers may be Hounsfield units; a picture's grey levels can't be."""
    warnings: tuple[str, ...] = ()


def refused(path: Path, what: str, *, field: str, found: object, wanted: str, next: str = "") -> BadInput:
    """The one shape of a refusal: file, field, found, wanted. Only the file's own name is told."""
    where = f"{path.name}, {field}: found {found}, wanted {wanted}"
    return BadInput(what, where=where, next=next or AGAIN)


def kind_of(path: Path) -> str:
    """The end of the name that is read (a key of `SUFFIXES`), once the bytes agree with it."""
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), None)
    head = _head(path)
    if suffix is None:
        known = ", ".join(SUFFIXES)
        raise refused(
            path,
            "this kind of file is not read",
            field="name",
            found=path.suffix or "no suffix",
            wanted=known,
            next="convert it to one of these (dcm2niix makes NIfTI of DICOM)",
        )
    found, wanted = _kind(head), SUFFIXES[suffix]
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
    if min(shape, default=0) <= 0:
        raise refused(path, "the array is empty", field="shape", found=shape, wanted="no axis of length 0")
    if size > LIMIT_MIB << 20:
        raise refused(
            path,
            "the file is too large",
            field="shape",
            found=f"{shape}, {_told(size)}",
            wanted=f"up to {LIMIT_MIB} MiB",
        )
    return size


def _head(path: Path) -> bytes:
    """First bytes of a regular file that is not empty."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise refused(
                path,
                "a folder was given",
                field="path",
                found="a folder",
                wanted="one file",
                next="convert a DICOM series to NIfTI first (dcm2niix does)",
            )
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
