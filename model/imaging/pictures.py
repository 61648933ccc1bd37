"""PNG, JPEG and .npy: grey levels without a frame.

A colour photograph is not supported yet and is refused, not turned grey in silence; a grey picture
stored as RGB is fine. A .npy is (row, column) or (slice, row, column).
"""

import struct
import tokenize
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model.imaging.files import SUFFIXES, Stored, bounded, refused

LIMIT_MEGAPIXELS = 50
COLOUR_TOLERANCE = 2
"""Channels of a grey JPEG may differ by this much, grey levels."""

DAMAGE = {
    "checksum": "a wrong checksum",
    "Decompressed": "a text chunk that inflates without end",
    "palette": "no palette",
}
"""What Pillow says -> what we say."""


def read_picture(path: Path, suffix: str) -> Stored:
    """PNG or JPEG, 8 or 16 bit, turned as its EXIF says; raises BadInput."""
    if suffix == ".png":
        _check_size(path, *_png_size(path))
    try:
        with Image.open(path, formats=(SUFFIXES[suffix],)) as image:
            image.verify()  # the checksums of a PNG, which decoding ignores; it uses the file up
        with Image.open(path, formats=(SUFFIXES[suffix],)) as image:
            _check_size(path, *image.size)
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise refused(path, "an animation", field="frames", found=frames, wanted="one picture")
            grey = _grey(path, ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        wanted = f"up to {LIMIT_MEGAPIXELS} MP"
        raise refused(path, "the picture is too large", field="size", found="a huge one", wanted=wanted) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        found = next((told for word, told in DAMAGE.items() if word in str(error)), "truncated or damaged data")
        raise refused(
            path, "the picture can't be decoded", field="data", found=found, wanted="a whole picture"
        ) from error
    return Stored(grey.T[:, :, None].astype(np.float32), np.eye(4))


def read_npy(path: Path) -> Stored:
    """A .npy array of real numbers, (row, column) or (slice, row, column); raises BadInput."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(stream)
            begin = stream.tell()
    except (ValueError, tokenize.TokenError) as error:
        raise refused(
            path, "damaged header", field="header", found="not a .npy header", wanted="numpy.save's"
        ) from error
    if dtype.hasobject:
        raise refused(path, "Python objects are not read", field="dtype", found="object (a pickle)", wanted="numbers")
    if dtype.kind not in "biuf":
        raise refused(path, "not an image of real numbers", field="dtype", found=dtype, wanted="integers or floats")
    if len(shape) not in (2, 3):
        raise refused(path, f"the array is {len(shape)}-D", field="shape", found=shape, wanted="2 or 3 axes")
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4:
        raise refused(
            path,
            "looks like an RGB picture",
            field="shape",
            found=shape,
            wanted="(slice, row, column)",
            next="save one channel",
        )
    size = bounded(path, shape, dtype.itemsize)
    there = path.stat().st_size - begin
    if there < size:
        raise refused(path, "the array is truncated", field="data", found=f"{there} bytes", wanted=f"{size}")
    array = np.load(path, allow_pickle=False)
    with np.errstate(over="ignore"):
        voxels = (array[None] if array.ndim == 2 else array).transpose(2, 1, 0).astype(np.float32)
    return Stored(voxels, np.eye(4), hounsfield=True)


def _png_size(path: Path) -> tuple[int, int]:
    """(width, height) from the first chunk, before any decoder sees the file."""
    with path.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or head[12:16] != b"IHDR":
        raise refused(path, "the picture is truncated", field="IHDR", found=f"{len(head)} bytes", wanted="a PNG header")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _check_size(path: Path, width: int, height: int) -> None:
    if not (width and height):
        found = f"width {width}, height {height}"
        raise refused(path, "the picture is empty", field="size", found=found, wanted="at least 1 x 1")
    if width * height > LIMIT_MEGAPIXELS * 1_000_000:
        found = f"{width} x {height}, {width * height / 1e6:.0f} MP"
        raise refused(
            path, "the picture is too large", field="size", found=found, wanted=f"up to {LIMIT_MEGAPIXELS} MP"
        )


def _grey(path: Path, image: Image.Image) -> np.ndarray:
    """Grey levels (row, column); transparency becomes black."""
    if image.mode in ("L", "1", "I", "I;16", "I;16B", "F"):
        return np.asarray(image)
    if image.mode == "CMYK":
        raise refused(path, "printer's colours are not read", field="mode", found="CMYK", wanted="a grey picture")
    if image.mode == "P" and not image.getpalette():
        raise refused(path, "the picture can't be decoded", field="PLTE", found="no palette", wanted="a palette")
    rgba = np.asarray(image.convert("RGBA"), np.float32)
    rgb = rgba[..., :3] * rgba[..., 3:] / 255
    if np.ptp(rgb, axis=2).max(initial=0) > COLOUR_TOLERANCE:
        raise refused(
            path,
            "colour pictures are not supported yet",
            field="channels",
            found="an RGB photograph",
            wanted="a grey picture (R = G = B)",
            next="give a grey picture; turning colours grey would invent contrast",
        )
    return rgb.mean(axis=2)
