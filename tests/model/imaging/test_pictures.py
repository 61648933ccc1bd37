import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model.imaging.pictures import read_npy, read_picture
from model.interface.errors import BadInput

GREY = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)


def png(array: np.ndarray = GREY) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG header that claims a size, with nothing behind it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def spoiled() -> bytes:
    raw = bytearray(png())
    raw[raw.index(b"IDAT") + 20] ^= 0xFF
    return bytes(raw)


PNG_FAULTS = {
    "cut": (png()[:300], "data", "truncated", "whole"),
    "cut in its header": (png()[:20], "IHDR", "20 bytes", "PNG header"),
    "checksum": (spoiled(), "data", "checksum", "whole"),
    "no width": (claiming(0, 5), "size", "width 0", "at least 1"),
    "huge": (claiming(50000, 50000), "size", "2500 MP", "50 MP"),
    "colour": (
        png(np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)),
        "channels",
        "RGB",
        "R = G = B",
    ),
}


@pytest.mark.parametrize("fault", PNG_FAULTS)
def test_a_bad_png_is_refused_with_field_found_and_wanted(tmp_path, fault):
    raw, field, found, wanted = PNG_FAULTS[fault]
    path = tmp_path / "scan.png"
    path.write_bytes(raw)
    with pytest.raises(BadInput) as caught:
        read_picture(path, ".png")
    told = caught.value.where
    assert told.startswith(f"scan.png, {field}: found ")
    assert found in told.split(", wanted ")[0]
    assert wanted in told.split(", wanted ")[-1]


def test_columns_become_x_and_rows_y(tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(png())
    stored = read_picture(path, ".png")
    assert np.array_equal(stored.voxels, GREY.T[:, :, None])
    assert not (stored.frame_known or stored.spacing_known)


def test_a_16_bit_png_keeps_its_depth(tmp_path):
    deep = GREY.astype(np.uint16) * 200
    (tmp_path / "scan.png").write_bytes(png(deep))
    assert np.array_equal(read_picture(tmp_path / "scan.png", ".png").voxels[:, :, 0].T, deep)


def test_grey_stored_as_rgb_is_grey(tmp_path):
    (tmp_path / "scan.png").write_bytes(png(np.stack([GREY] * 3, axis=2)))
    assert np.array_equal(read_picture(tmp_path / "scan.png", ".png").voxels[:, :, 0].T, GREY)
    Image.fromarray(np.stack([GREY] * 3, axis=2)).save(tmp_path / "scan.jpg", quality=95)
    assert np.abs(read_picture(tmp_path / "scan.jpg", ".jpg").voxels[:, :, 0].T - GREY).mean() < 10


def test_transparency_becomes_black(tmp_path):
    opacity = np.zeros_like(GREY)
    (tmp_path / "scan.png").write_bytes(png(np.stack([GREY] * 3 + [opacity], axis=2)))
    assert read_picture(tmp_path / "scan.png", ".png").voxels.max() == 0


def test_a_jpeg_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    Image.fromarray(GREY).save(tmp_path / "scan.jpg", exif=exif)
    assert read_picture(tmp_path / "scan.jpg", ".jpg").voxels.shape == (30, 20, 1)


def test_npy_is_row_column_or_slice_row_column(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, GREY)
    assert np.array_equal(read_npy(path).voxels, GREY.T[:, :, None])
    stack = np.random.default_rng(0).random((5, 7, 9))
    np.save(path, stack)
    assert np.allclose(read_npy(path).voxels, stack.transpose(2, 1, 0))


def claimed_npy(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return out.getvalue()


NPY_FAULTS = {
    "pickle": (np.array([{"a": 1}], dtype=object), "dtype", "pickle", "numbers"),
    "records": (np.zeros((5, 5), [("R", "u1"), ("G", "u1")]), "dtype", "R", "integers or floats"),
    "complex": (np.zeros((5, 5), complex), "dtype", "complex", "integers or floats"),
    "1-D": (np.zeros(9), "shape", "(9,)", "2 or 3 axes"),
    "4-D": (np.zeros((2, 3, 4, 5)), "shape", "(2, 3, 4, 5)", "2 or 3 axes"),
    "RGB": (np.zeros((20, 30, 3)), "shape", "(20, 30, 3)", "(slice, row, column)"),
    "empty": (np.zeros((0, 5, 5)), "shape", "(0, 5, 5)", "no axis of length 0"),
    "huge": (claimed_npy((100000, 100000, 100)), "shape", "3.6 TiB", "512 MiB"),
    "cut": (claimed_npy((8, 8)) + bytes(100), "data", "100 bytes", "256"),
    "negative": (claimed_npy((-4, -4)) + bytes(64), "shape", "(-4, -4)", "no axis of length 0"),
    "torn": (claimed_npy((8, 8)).replace(b"}", b"("), "header", "not a .npy", "numpy.save"),
    "header": (b"\x93NUMPY\x01\x00\x10\x00not a dictionary", "header", "not a .npy", "numpy.save"),
}


@pytest.mark.parametrize("fault", NPY_FAULTS)
def test_a_bad_npy_is_refused_with_field_found_and_wanted(tmp_path, fault):
    content, field, found, wanted = NPY_FAULTS[fault]
    path = tmp_path / "scan.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content, allow_pickle=True)
    with pytest.raises(BadInput) as caught:
        read_npy(path)
    told = caught.value.where
    assert told.startswith(f"scan.npy, {field}: found ")
    assert found in told.split(", wanted ")[0]
    assert wanted in told.split(", wanted ")[-1]
