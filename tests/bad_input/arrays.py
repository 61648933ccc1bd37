"""Malformed .npy and .npz files."""

import io
import zipfile
from collections.abc import Callable

import numpy as np

from model.imaging.reading.declared import Declared
from tests.bad_input.bombs import zipped
from tests.bad_input.case import WARNED, Case, cases_of
from tests.bad_input.openers import study
from tests.model.imaging.phantom import AFFINE, voxels


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def signalling() -> bytes:
    """One value that is a signalling NaN, which processors complain about."""
    array = np.arange(64.0).reshape(8, 8)
    array.view(np.uint64)[0, 0] = 0xFFF0_0000_0000_0001
    return npy(array)


def npz(**arrays: np.ndarray) -> Callable[[], bytes]:
    def build() -> bytes:
        out = io.BytesIO()
        np.savez(out, **arrays)  # pyright: ignore[reportArgumentType]
        return out.getvalue()

    return build


def claiming(shape: tuple[int, ...]) -> bytes:
    """The header of an array of float32, with nothing behind it."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return out.getvalue()


def told(descr: str, shape: str) -> bytes:
    """A header word by word."""
    words = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(words).to_bytes(2, "little") + words


def archive(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, content)
    return out.getvalue()


NPY = (
    ("empty file", "an empty file", b"", ("empty",)),
    ("pickle", "Python objects", npy(np.array([{"a": 1}], dtype=object)), ("dtype", "pickle")),
    ("records", "records", npy(np.zeros((5, 5), [("R", "u1"), ("G", "u1")])), ("dtype", "integers or floats")),
    ("complex", "complex numbers", npy(np.zeros((5, 5), complex)), ("dtype", "complex")),
    ("text", "words", npy(np.array([["a", "b"]])), ("dtype", "<U1")),
    ("1-D", "one axis", npy(np.zeros(9)), ("shape", "(9,)", "2 or 3 axes")),
    ("4-D", "four axes", npy(np.zeros((2, 3, 4, 5))), ("shape", "(2, 3, 4, 5)")),
    ("RGB", "a picture's colours, which a third axis can't tell", npy(np.zeros((20, 30, 3))), ("(20, 30, 3)", "PNG")),
    ("empty", "an axis of length 0", npy(np.zeros((0, 5, 5))), ("shape", "(0, 5, 5)")),
    ("huge", "100000 x 100000 x 100 claimed", claiming((100000, 100000, 100)), ("3.6 TiB", "512 MiB")),
    ("cut", "100 of 256 bytes", claiming((8, 8)) + bytes(100), ("truncated", "100 bytes", "256")),
    ("negative", "axes of length -4", claiming((-4, -4)) + bytes(64), ("shape", "(-4, -4)")),
    ("torn", "a header that isn't closed", claiming((8, 8)).replace(b"}", b"("), ("header", "no .npy header")),
    ("no header", "no dictionary", b"\x93NUMPY\x01\x00\x10\x00not a dictionary", ("header", "no .npy header")),
    ("NaN", "every value NaN", npy(np.full((8, 8), np.nan)), ("64 NaN",)),
)
NPZ = (
    ("bomb", "a MiB that inflates to a GiB", lambda: zipped("a.npy", claiming((1 << 28,)), 1024),
     ("1.0 GiB", "512 MiB")),
    ("escapes", "a member named ../../a.npy", archive("../../a.npy", claiming((2, 2)) + bytes(16)),
     ("leaves the folder",)),
    ("absolute", "a member named /etc/a.npy", archive("/etc/a.npy", claiming((2, 2)) + bytes(16)),
     ("leaves the folder",)),
    ("torn", "half a zip", archive("a.npy", bytes(90))[:60], ("damaged", "whole")),
    ("tuple for a type", "a type that is none", archive("a.npy", told("('<f4',)", "(2, 2)")), ("header",)),
    ("truth for a length", "an axis of length True", archive("a.npy", told("'<f4'", "(True, 2)")), ("shape",)),
    ("an axis beyond all", "a length of 300 digits", archive("a.npy", told("'<f4'", f"({'9' * 300},)")), ("10^12",)),
    ("affine of zeros", "an affine without axes", npz(voxels=voxels(), affine=np.zeros((4, 4))), ("affine",)),
    ("affine of nine", "an affine of 3 x 3", npz(voxels=voxels(), affine=np.eye(3)), ("affine", "(3, 3)")),
    ("affine turned", "an affine whose rows are its columns", npz(voxels=voxels(), affine=AFFINE.T), ("affine",)),
    ("affine beyond all", "voxels of 10^200 mm", npz(voxels=voxels(), affine=AFFINE * 1e200), ("affine",)),
    ("affine NaN", "an affine of NaN", npz(voxels=voxels(), affine=AFFINE * np.nan), ("affine", "NaN")),
    ("affine of words", "an affine of words", npz(voxels=voxels(), affine=np.full((4, 4), "a")), ("dtype",)),
    ("flat", "two axes and an affine", npz(voxels=voxels()[0], affine=AFFINE), ("voxels", "(x, y, z)")),
    ("which one", "two arrays, neither the affine", npz(voxels=voxels(), other=AFFINE), ("arrays", "2 arrays")),
    ("nothing", "no array", archive("a.txt", b"hello"), ("header",)),
)  # fmt: skip
CASES: list[Case] = [
    *cases_of("npy", [(name, wrong, "scan.npy", content, words) for name, wrong, content, words in NPY]),
    *cases_of("npz", [(name, wrong, "scan.npz", content, words) for name, wrong, content, words in NPZ]),
    *cases_of(
        "npy", [("signalling NaN", "one NaN that processors complain about", "scan.npy", signalling, ("1 NaN",))],
        WARNED,
    ),
    *cases_of(
        "npy", [("no index", "--index of a .npy", "scan.npy", npy(np.eye(9)), ("--index", "nothing to choose"))],
        opener=study(Declared(index=0)),
    ),
]  # fmt: skip
