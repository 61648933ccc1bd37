"""Malformed pictures: PNG, JPEG, WebP, TIFF, and what is named like one."""

import io
import zlib

import numpy as np
from PIL import Image

from model.imaging.reading.declared import Declared
from tests.bad_input.bombs import MIB, zeros
from tests.bad_input.case import READ, WARNED, Case, cases_of
from tests.bad_input.openers import study
from tests.model.imaging.reading.dicoms import CANARY
from tests.model.imaging.reading.png import GREY, chunk, claiming, png

RGB = np.random.default_rng(1).integers(0, 256, (30, 20, 3), dtype=np.uint8)
END = chunk(b"IEND", b"")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
FITS = b"SIMPLE  =                    T".ljust(2880) + bytes(2880)


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def pages(kind: str, n: int) -> bytes:
    some = [Image.fromarray(GREY // min(k, 200)) for k in range(1, n + 1)]
    return saved(some[0], kind, save_all=True, append_images=some[1:])


def spoiled() -> bytes:
    """One byte of the compressed pixels changed."""
    raw = bytearray(png())
    raw[raw.index(b"IDAT") + 20] ^= 0xFF
    return bytes(raw)


def text_bomb() -> bytes:
    """A text chunk that inflates to 256 MiB."""
    body = zlib.compress(b"")[:2] + zeros(256) + bytes(4)
    return claiming(8, 8, chunk(b"zTXt", b"Comment\0\0" + body), chunk(b"IDAT", zlib.compress(bytes(72))), END)


def black(width: int, height: int) -> bytes:
    """A whole PNG, all of it zeros."""
    body = zlib.compress(b"")[:2] + zeros(-(-(width + 1) * height // MIB)) + bytes(4)
    return claiming(width, height, chunk(b"IDAT", body), END)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x9286] = 6, CANARY
    return saved(Image.fromarray(GREY), "JPEG", exif=exif)


def tiff_claiming(width: int, height: int) -> bytes:
    whole = saved(Image.fromarray(GREY), "TIFF")
    return whole.replace(b"\x00\x01\x04\x00\x01\x00\x00\x00\x14\x00\x00\x00",
                         b"\x00\x01\x04\x00\x01\x00\x00\x00" + width.to_bytes(4, "little")).replace(
                         b"\x01\x01\x04\x00\x01\x00\x00\x00\x1e\x00\x00\x00",
                         b"\x01\x01\x04\x00\x01\x00\x00\x00" + height.to_bytes(4, "little"))  # fmt: skip


FAULTS = (
    ("empty", "an empty file", "scan.png", b"", ("empty",)),
    ("words", "words, named .png", "scan.png", b"hello", ("wanted PNG",)),
    ("cut", "300 bytes of a PNG", "scan.png", png()[:300], ("truncated",)),
    ("cut in its header", "20 bytes of a PNG", "scan.png", png()[:20], ("IHDR", "truncated", "20 bytes")),
    ("checksum", "one byte of the pixels changed", "scan.png", spoiled, ("checksum",)),
    ("no width", "0 x 0", "scan.png", claiming(0, 0), ("width 0",)),
    ("large", "13000 x 13000, all of them there", "scan.png", lambda: black(13000, 13000), ("169 MP", "50 MP")),
    ("huge", "50000 x 50000 claimed", "scan.png", claiming(50000, 50000), ("2500 MP", "50 MP")),
    ("beyond all", "2147483647 x 2147483647 claimed", "scan.png", claiming(2**31 - 1, 2**31 - 1), ("50 MP",)),
    ("text bomb", "a text chunk that inflates to 256 MiB", "scan.png", text_bomb, ("text chunk",)),
    ("narrow", "1 x 30000", "scan.png", lambda: png(np.resize(GREY, (30000, 1))), ("aspect", "200:1")),
    ("no palette", "palette colours without a palette", "scan.png",
     lambda: claiming(16, 16, chunk(b"IDAT", zlib.compress(bytes(17 * 16))), END, colour=3), ("palette",)),
    ("constant", "0 everywhere", "scan.png", lambda: png(np.zeros_like(GREY)), ("constant", "0 everywhere")),
    ("GIF", "a GIF of 300 pictures, named .png", "scan.png", lambda: pages("GIF", 300), ("GIF",)),
    ("SVG", "an SVG with a link to a file", "scan.png", SVG, ("SVG",)),
    ("EPS", "a program for Ghostscript, which is never looked for", "scan.png", EPS, ("EPS",)),
    ("FITS", "a FITS", "scan.png", FITS, ("FITS",)),
    ("PDF", "a PDF, named .jpg", "scan.jpg", b"%PDF-1.7\n", ("PDF", "JPEG")),
    ("JPEG cut", "half a JPEG", "scan.jpg", lambda: saved(Image.fromarray(RGB), "JPEG")[:700], ("truncated",)),
    ("CMYK", "printer's colours", "scan.jpg", lambda: saved(Image.new("CMYK", (20, 30)), "JPEG"), ("CMYK",)),
    ("WebP cut", "half a WebP", "scan.webp", lambda: saved(Image.fromarray(RGB), "WebP")[:200], ("truncated",)),
    ("TIFF cut", "a TIFF without its directory", "scan.tif", lambda: saved(Image.fromarray(GREY), "TIFF")[:300],
     ("truncated",)),
    ("TIFF huge", "a TIFF of 90000 x 90000 claimed", "scan.tif", lambda: tiff_claiming(90000, 90000), ("50 MP",)),
    ("pages", "a TIFF of three pictures", "scan.tif", lambda: pages("TIFF", 3), ("frames", "--index 0 to 2")),
    ("another name", "a JPEG, named .png", "scan.png", lambda: saved(Image.fromarray(RGB), "JPEG"),
     ("found JPEG, wanted PNG", "rename to .jpg")),
    ("unknown name", "a picture, named .img", "scan.img", png, ("found .img, PNG", ".nii.gz")),
)  # fmt: skip
ODD = (
    ("RGBA", "transparency, put on black; and the default model sees no colours", "scan.png",
     lambda: png(np.dstack([RGB, GREY])), ("grey levels",)),
)  # fmt: skip
FINE = (
    ("16 bit", "nothing: 16 bits, none of them cut off", "scan.png", lambda: png(GREY.astype(np.uint16) * 200), ()),
    ("turned", "nothing: a JPEG turned by its EXIF, which names a person", "scan.jpg", turned, ()),
)
CASES: list[Case] = [
    *cases_of("picture", FAULTS),
    *cases_of("picture", ODD, WARNED),
    *cases_of("picture", FINE, READ),
    *cases_of(
        "picture", [("no such page", "--index 3 of three pictures", "scan.tif", lambda: pages("TIFF", 3), ("0 to 2",))],
        opener=study(Declared(index=3)),
    ),
]  # fmt: skip
