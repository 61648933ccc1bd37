"""Arrays numpy saved: .npy, pictures without a frame; .npz, which may bring an affine along.

A .npy is (row, column) or (slice, row, column). A .npz holds `voxels` (x, y, z) with `affine` (4, 4; voxel index
to mm, RAS+), or one array as a .npy has it. No more of it is inflated than its header, once bounded, asks for.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from model.imaging.reading.files import Stored, as_float32, bounded, check_affine, oriented, refused
from model.imaging.reading.sources import inside
from model.interface.errors import BadInput

HEADER = 1 << 12
"""Bytes that a .npy header fits in."""


def read_array(path: Path, kind: str) -> Stored:
    """Read .npy or .npz; raises BadInput."""
    if kind == ".npz":
        return _read_npz(path)
    with path.open("rb") as stream:
        return _flat(path, _from(path, stream))


def _read_npz(path: Path) -> Stored:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(path, archive.infolist())
            arrays = {}
            for info in archive.infolist():
                with archive.open(info) as stream:
                    arrays[inside(path, info).stem] = _from(path, stream)
    except BadInput:
        raise
    except Exception as error:  # each compression raises errors of its own
        found = "damaged data"
        raise refused(path, "the .npz can't be read", field="zip", found=found, wanted="a whole .npz") from error
    if "affine" in arrays:
        return _with_affine(path, arrays["voxels"], arrays["affine"])
    return _flat(path, next(iter(arrays.values())))


def _check_names(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Before anything is inflated."""
    names = [inside(path, info).stem for info in members]
    if len(names) != 1 and sorted(names) != ["affine", "voxels"]:
        raise refused(
            path, "which array is the image?", field="arrays", found=f"{len(members)} arrays",
            wanted="voxels and affine, or one array",
        )  # fmt: skip


def _from(path: Path, stream: IO[bytes]) -> np.ndarray:
    """An array, of which no more is read than its header, once bounded, asks for."""
    raw = stream.read(HEADER)
    size, begin = _header(path, raw)
    raw += stream.read(max(0, begin + size - len(raw)))
    if len(raw) - begin < size:
        found = f"{len(raw) - begin} bytes"
        raise refused(path, "the array is truncated", field="data", found=found, wanted=f"{size}")
    return np.load(io.BytesIO(raw), allow_pickle=False)


def _header(path: Path, raw: bytes) -> tuple[int, int]:
    """(bytes of the data, where they begin), what they claim checked."""
    stream = io.BytesIO(raw[:HEADER])
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
    except Exception as error:  # the header is a Python literal: it fails in many ways
        raise refused(path, "damaged header", field="header", found="no .npy header", wanted="numpy.save's") from error
    if not all(type(n) is int for n in shape):
        raise refused(path, "damaged header", field="shape", found="no whole numbers", wanted="numpy.save's")
    if dtype.hasobject:
        raise refused(path, "Python objects are not read", field="dtype", found="object (a pickle)", wanted="numbers")
    if dtype.kind not in "biuf":
        raise refused(path, "not an image of real numbers", field="dtype", found=dtype, wanted="integers or floats")
    return bounded(path, shape, dtype.itemsize), stream.tell()


def _flat(path: Path, array: np.ndarray) -> Stored:
    """Pictures without a frame."""
    shape = array.shape
    if len(shape) not in (2, 3):
        raise refused(path, f"the array is {len(shape)}-D", field="shape", found=shape, wanted="2 or 3 axes")
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) > 4:
        raise refused(
            path,
            "looks like an RGB picture",
            field="shape",
            found=shape,
            wanted="(slice, row, column)",
            next="save it as PNG, or one channel of it",
        )
    voxels = as_float32((array[None] if array.ndim == 2 else array).transpose(2, 1, 0))
    return Stored(voxels, np.eye(4), hounsfield=True)


def _with_affine(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Stored:
    if voxels.ndim != 3:
        raise refused(path, f"the array is {voxels.ndim}-D", field="voxels", found=voxels.shape, wanted="(x, y, z)")
    check_affine(path, affine)
    turned, to_mm, index = oriented(as_float32(voxels), affine.astype(float))
    return Stored(turned, to_mm, frame_known=True, spacing_known=True, hounsfield=True, index=index)
