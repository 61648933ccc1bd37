"""PNG, JPEG, WebP and TIFF: grey levels or colours without a frame."""

import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model.imaging.reading.files import SUFFIXES, Stored, check_index, refused
from model.interface.errors import BadInput

LIMIT_MEGAPIXELS = 50
PHOTOMETRIC = 262
"""TIFF's tag: 0 where the lowest value is white."""

DAMAGE = {
    "checksum": "a wrong checksum",
    "Decompressed": "a text chunk that inflates without end",
    "palette": "no palette",
}
"""What Pillow says -> what we say."""


def read_picture(path: Path, suffix: str, index: int | None = None) -> Stored:
    """8 or 16 bit, turned as its EXIF says; raises BadInput. index: which page or frame of several, from 0."""
    if suffix == ".png":
        _check_size(path, *_png_size(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which isn't used
            picture = _decoded(path, suffix, index)
    except BadInput:
        raise
    except Image.DecompressionBombError as error:
        wanted = f"up to {LIMIT_MEGAPIXELS} MP"
        raise refused(path, "the picture is too large", field="size", found="a huge one", wanted=wanted) from error
    except Exception as error:  # a damaged file makes Pillow raise a dozen types
        found = next((told for word, told in DAMAGE.items() if word in str(error)), "truncated or damaged data")
        raise refused(
            path, "the picture can't be decoded", field="data", found=found, wanted="a whole picture"
        ) from error
    return Stored(picture.swapaxes(0, 1)[:, :, None], np.eye(4))


def _decoded(path: Path, suffix: str, index: int | None) -> np.ndarray:
    """As `_pixels`."""
    with Image.open(path, formats=(SUFFIXES[suffix],)) as image:
        image.verify()  # the checksums of a PNG, which decoding ignores; it uses the file up
    with Image.open(path, formats=(SUFFIXES[suffix],)) as image:
        _check_size(path, *image.size)
        _choose(path, image, index)
        white_is_zero = image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0  # pyright: ignore[reportAttributeAccessIssue]
        return _pixels(path, ImageOps.exif_transpose(image), white_is_zero)


def _choose(path: Path, image: Image.Image, index: int | None) -> None:
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # a phone's JPEG has its preview in it
    if index is None and frames > 1:
        raise refused(
            path,
            "several pictures in one file",
            field="frames",
            found=frames,
            wanted="one picture",
            next=f"choose one with --index 0 to {frames - 1}",
        )
    check_index(path, "picture", index or 0, frames)
    image.seek(index or 0)


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


def _pixels(path: Path, image: Image.Image, white_is_zero: bool) -> np.ndarray:
    """float32 (row, column) of grey levels, uint8 (row, column, 3) of colours; transparency becomes black."""
    if image.mode in ("L", "1", "I", "I;16", "I;16B", "F"):
        grey = np.asarray(image).astype(np.float32)
        # Pillow turns these over for 8 bits only
        return grey.max() - grey if white_is_zero and image.mode not in ("L", "1") else grey
    if image.mode == "CMYK":
        raise refused(path, "printer's colours are not read", field="mode", found="CMYK", wanted="grey or RGB")
    if image.mode == "P" and not image.getpalette():
        raise refused(path, "the picture can't be decoded", field="PLTE", found="no palette", wanted="a palette")
    if image.mode in ("RGB", "YCbCr"):
        return np.asarray(image.convert("RGB"))
    seen = image.convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen).convert("RGB"))
