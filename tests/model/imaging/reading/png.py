"""PNG files made here: of an array, and chunk by chunk."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)


def png(array: np.ndarray = GREY) -> bytes:
    """array: uint8 or uint16 (row, column), uint8 (row, column, 3 or 4)."""
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(width: int, height: int, *chunks: bytes, colour: int = 0) -> bytes:
    """A header that claims a size and a colour type, and what comes behind it."""
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)) + b"".join(chunks)
