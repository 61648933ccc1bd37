"""Malformed NIfTI files, each a good head with one thing wrong."""

import gzip
import os
import struct
from pathlib import Path

import nibabel as nib
import numpy as np

from model.imaging.reading.declared import Declared
from tests.bad_input.bombs import gzipped
from tests.bad_input.case import READ, WARNED, Case, cases_of
from tests.bad_input.openers import study
from tests.model.imaging.phantom import AFFINE, voxels
from tests.model.imaging.reading.dicoms import CANARY
from tests.model.imaging.reading.niftis import dims, image, patched

NAN = float("nan")
NO_CODES = patched(252, "<2h", 0, 0)
RAMP = np.arange(16 * 16 * 8, dtype=np.int16).reshape(16, 16, 8)
RGB = np.zeros((8, 8, 8), [("R", "u1"), ("G", "u1"), ("B", "u1")])
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def some(value: float, n: int) -> bytes:
    """The head with n voxels of this value."""
    array = voxels()
    array.ravel()[:n] = value
    return image(array)


def packed() -> bytes:
    return gzip.compress(image(), mtime=0)


def wrong_checksum() -> bytes:
    whole = bytearray(packed())
    whole[-8] ^= 0xFF
    return bytes(whole)


def named() -> bytes:
    """A fault in a file whose free text names a person."""
    return patched(148, "80s", CANARY.encode(), raw=dims(9, 16, 16, 8, 1, 1, 1, 1))


def big_endian() -> bytes:
    return nib.Nifti1Image(RAMP.astype(">i2"), AFFINE, header=nib.Nifti1Header(endianness=">")).to_bytes()


def extended() -> bytes:
    whole = patched(108, "<f", 352.0 + (2 << 20))
    return whole[:348] + struct.pack("<4Bii", 1, 0, 0, 0, 2 << 20, 6) + bytes((2 << 20) - 8) + whole[352:]


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "scan.nii")
    return folder / "scan.nii"


def emptied(folder: Path) -> Path:
    (folder / "scan.nii").mkdir()
    return folder / "scan.nii"


def loop(folder: Path) -> Path:
    (folder / "scan.nii").symlink_to(folder / "scan.nii")
    return folder / "scan.nii"


FAULTS = (
    ("header cut", "200 bytes of the header", "scan.nii", image()[:200], ("found 200 bytes", "348")),
    ("header only", "no voxels", "scan.nii", image()[:348], ("no voxel data", "vox_offset")),
    ("voxels cut", "1000 bytes missing", "scan.nii", image()[:-1000], ("truncated", "30824 bytes", "31824")),
    ("more than voxels", "2 MiB behind the voxels", "scan.nii", image() + bytes(2 << 20), ("more bytes", "1 MiB")),
    ("sizeof_hdr", "sizeof_hdr 999", "scan.nii", patched(0, "<i", 999), ("sizeof_hdr", "found 999", "348")),
    ("magic", "magic bytes xxx", "scan.nii", patched(344, "4s", b"xxx\0"), ("magic", "xxx", "n+1")),
    ("two files", "the header of a two-file image", "scan.nii", patched(344, "4s", b"ni1\0"), ("magic", ".hdr")),
    ("negative length", "dim[1] -16", "scan.nii", dims(3, -16, 16, 8, 1, 1, 1, 1), ("dim[1]", "found -16")),
    ("no length", "dim[1] 0", "scan.nii", dims(3, 0, 16, 8, 1, 1, 1, 1), ("dim[1]", "found 0")),
    ("nine axes", "dim[0] 9, and a person's name in descrip", "scan.nii", named, ("dim[0]", "found 9")),
    ("huge", "32767 x 32767 x 32767 claimed", "scan.nii", dims(3, *[32767] * 3, 1, 1, 1, 1), ("TiB", "512 MiB")),
    ("4-D", "30 volumes", "scan.nii", lambda: image(np.ones((8, 8, 8, 30), np.int16)),
     ("4-D", "30", "--index 0 to 29")),
    ("5-D", "five axes", "scan.nii", lambda: image(np.ones((8, 8, 8, 1, 3), np.int16)), ("5-D", "3-D")),
    ("RGB", "RGB voxels", "scan.nii", lambda: image(RGB), ("RGB", "datatype")),
    ("complex", "complex voxels", "scan.nii", lambda: image(np.ones((8, 8, 8), np.complex64)), ("complex", "real")),
    ("data type", "data type 9999", "scan.nii", patched(70, "<h", 9999), ("data type 9999", "one of 2, 4")),
    ("offset far", "voxels begin past the end", "scan.nii", patched(108, "<f", 1e9), ("vox_offset", "1e+09")),
    ("offset negative", "voxels begin before the file", "scan.nii", patched(108, "<f", -100.0),
     ("vox_offset", "negative")),
    ("offset NaN", "nobody knows where voxels begin", "scan.nii", patched(108, "<f", NAN),
     ("vox_offset", "not a number")),
    ("extension", "an extension of 2,147,483,632 bytes", "scan.nii", patched(348, "<4Bii", 1, 0, 0, 0, 0x7FFFFFF0, 6),
     ("extension", "2147483632")),
    ("overflow", "scl_slope 3e38", "scan.nii", patched(112, "<2f", 3e38, 3e38), ("scl_slope", "overflow")),
    ("intercept NaN", "scl_inter is not a number", "scan.nii", patched(112, "<2f", 2.0, NAN),
     ("scl_inter", "not a number")),
    ("singular", "an affine of two axes", "scan.nii",
     patched(312, "<4f", 0, 0, 0, 0, raw=patched(252, "<2h", 0, 2)), ("affine", "singular")),
    ("affine NaN", "an affine of NaN", "scan.nii", patched(280, "<12f", *[NAN] * 12), ("affine", "NaN")),
    ("quaternion", "a qform that is no rotation", "scan.nii",
     patched(256, "<3f", 9, 9, 9, raw=patched(252, "<2h", 1, 0)), ("qform", "quaternion")),
    ("kilometres", "voxels of a kilometre", "scan.nii",
     patched(280, "<12f", 1e6, 0, 0, 0, 0, 1e6, 0, 0, 0, 0, 1e6, 0, raw=patched(252, "<2h", 0, 1)),
     ("affine", "1000 mm")),
    ("NaN", "900 voxels of NaN", "scan.nii", lambda: some(NAN, 900), ("900 NaN", "finite")),
    ("all NaN", "every voxel NaN", "scan.nii", lambda: image(np.full((8, 8, 8), NAN, np.float32)), ("512 NaN",)),
    ("infinite", "900 voxels without end", "scan.nii", lambda: some(np.inf, 900), ("900 infinite", "finite")),
    ("constant", "7 everywhere", "scan.nii", lambda: image(np.full((8, 8, 8), 7, np.float32)),
     ("constant", "7 everywhere")),
    ("line", "1 x 1 x 30000", "scan.nii", lambda: image(np.arange(30000, dtype=np.int16).reshape(1, 1, -1)),
     ("1 x 1 x 30000", "200:1")),
    ("narrow", "2 x 450", "scan.nii", lambda: image(np.arange(900, dtype=np.int16).reshape(1, 2, 450)),
     ("1 x 2 x 450", "200:1")),
    ("empty", "an empty file", "scan.nii.gz", b"", ("empty", "0 bytes")),
    ("gzip cut", "half a gzip stream", "scan.nii.gz", lambda: packed()[: len(packed()) // 2], ("gzip", "truncated")),
    ("gzip checksum", "a wrong checksum", "scan.nii.gz", wrong_checksum, ("gzip", "checksum")),
    ("not gzip", "named .nii.gz, not compressed", "scan.nii.gz", image, ("found NIfTI, wanted gzip", "rename to .nii")),
    ("gzip of words", "compressed words", "scan.nii.gz", lambda: gzip.compress(b"hello"), ("sizeof_hdr",)),
    ("bomb", "a MiB that inflates to a GiB, and says so", "scan.nii.gz",
     lambda: gzipped(dims(3, 1024, 1024, 1024, 1, 1, 1, 1)[:352], 1024), ("2.0 GiB", "512 MiB")),
    ("silent bomb", "a small image with a GiB behind it", "scan.nii.gz", lambda: gzipped(image(), 1024),
     ("more bytes", "1 MiB")),
    ("4-D bomb", "30000 volumes claimed", "scan.nii.gz",
     lambda: gzipped(dims(4, 512, 512, 300, 30000, 1, 1, 1)[:352], 1024), ("4-D", "30000")),
    ("web page", "an error page in HTML", "scan.nii.gz", b"<!doctype html><title>404</title>", ("HTML",)),
    ("pointer", "a Git-LFS pointer", "scan.nii.gz", LFS, ("git lfs pull",)),
)  # fmt: skip
ODD = (
    ("few NaN", "64 voxels of NaN", "scan.nii", lambda: some(NAN, 64), ("64 NaN",)),
    ("few infinite", "64 voxels without end", "scan.nii", lambda: some(np.inf, 64), ("64 infinite",)),
    ("slope NaN", "scl_slope is not a number: not scaled", "scan.nii", patched(112, "<f", NAN), ("scl_slope",)),
    ("no spacing", "pixdim 0 and no affine: 1 mm assumed, no size told", "scan.nii",
     patched(76, "<8f", *[0.0] * 8, raw=NO_CODES), ("voxel size",)),
    ("no orientation", "neither sform nor qform: left and right unknown", "scan.nii", NO_CODES, ("orientation",)),
    ("forms disagree", "sform and qform put it elsewhere", "scan.nii",
     patched(268, "<3f", 90, 90, 90, raw=patched(252, "<2h", 1, 1)), ("sform and qform disagree",)),
    ("Hounsfield?", "nobody says that it is a CT", "scan.nii", lambda: image(RAMP - 1000), ("taken for a CT",)),
)  # fmt: skip
FINE = (
    ("one slice", "nothing: a picture of one slice", "scan.nii", lambda: image(RAMP[..., 0]), ()),
    ("big endian", "nothing: the other byte order", "scan.nii", big_endian, ()),
    ("fourth axis of one", "nothing: a fourth axis of length 1", "scan.nii", lambda: image(RAMP[..., None]), ()),
    ("large extension", "nothing: 2 MiB between header and voxels", "scan.nii", extended, ()),
    ("slack", "half a MiB behind the voxels", "scan.nii", image() + bytes(1 << 19), ()),
)
CASES: list[Case] = [
    *cases_of("nifti", FAULTS),
    *cases_of("nifti", ODD, WARNED),
    *cases_of("nifti", FINE, READ),
    Case("nifti: a pipe", "a FIFO, which must not be waited for", fifo, ("a regular file",)),
    Case("nifti: a folder", "an empty folder named .nii", emptied, ("no DICOM", "a DICOM series")),
    Case("nifti: a loop", "a link to itself", loop, ("can't be opened",)),
    Case("nifti: absent", "no file", lambda folder: folder / "scan.nii", ("a readable file",)),
    *cases_of(
        "nifti",
        [("no such volume", "--index 30 of 30 volumes", "scan.nii",
          lambda: image(np.ones((8, 8, 8, 30), np.int16)), ("--index", "found 30", "0 to 29"))],
        opener=study(Declared(index=30)),
    ),
    *cases_of(
        "nifti", [("modality", "--modality PET", "scan.nii", image, ("--modality", "found PET", "CT, MR"))],
        opener=study(Declared("PET")),
    ),
    *cases_of(
        "nifti", [("no series", "--series of a NIfTI", "scan.nii", image, ("--series", "nothing to choose"))],
        opener=study(Declared(series=1)),
    ),
]  # fmt: skip
