import io
import zipfile

import numpy as np
import pytest

from model.imaging.reading.arrays import read_array
from model.imaging.reading.read import read_volume
from model.interface.errors import BadInput
from tests.model.imaging.phantom import AFFINE, ORIENTATIONS, stored_as, voxels

GREY = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)


def test_npy_is_row_column_or_slice_row_column(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, GREY)
    assert np.array_equal(read_array(path, ".npy").voxels, GREY.T[:, :, None])
    stack = np.random.default_rng(0).random((5, 7, 9))
    np.save(path, stack)
    assert np.allclose(read_array(path, ".npy").voxels, stack.transpose(2, 1, 0))


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
    "torn": (claimed_npy((8, 8)).replace(b"}", b"("), "header", "no .npy", "numpy.save"),
    "header": (b"\x93NUMPY\x01\x00\x10\x00not a dictionary", "header", "no .npy", "numpy.save"),
}


@pytest.mark.parametrize("fault", NPY_FAULTS)
def test_a_bad_npy_is_refused_with_field_found_and_wanted(tmp_path, fault):
    content, field, found, wanted = NPY_FAULTS[fault]
    path = tmp_path / "scan.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content, allow_pickle=True)
    with pytest.raises(BadInput) as caught:
        read_array(path, ".npy")
    told = caught.value.where
    assert told.startswith(f"scan.npy, {field}: found ")
    assert found in told.split(", wanted ")[0]
    assert wanted in told.split(", wanted ")[-1]


@pytest.mark.parametrize("orientation", ORIENTATIONS[::7], ids=str)
def test_an_npz_brings_its_affine(tmp_path, orientation):
    array, affine = stored_as(voxels(), AFFINE, orientation)
    np.savez_compressed(tmp_path / "scan.npz", voxels=array, affine=affine)
    volume = read_volume(tmp_path / "scan.npz")
    assert volume.frame_known
    assert np.array_equal(volume.voxels, voxels())
    assert np.allclose(volume.affine, AFFINE)


def test_an_npz_of_one_array_is_as_a_npy(tmp_path):
    np.savez(tmp_path / "scan.npz", GREY)
    assert np.array_equal(read_volume(tmp_path / "scan.npz").voxels, GREY.T[:, :, None])


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def told_npy(descr: str, shape: str) -> bytes:
    told = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(told).to_bytes(2, "little") + told


NPZ_FAULTS = {
    "bomb": (zipped("a.npy", claimed_npy((1 << 28,)) + bytes(1 << 20)), "shape", "1.0 GiB", "512 MiB"),
    "escapes": (zipped("../../a.npy", claimed_npy((2, 2)) + bytes(16)), "zip", "a path", "plain"),
    "torn": (zipped("a.npy", bytes(90))[:60], "zip", "damaged", "whole"),
    "tuple for a type": (zipped("a.npy", told_npy("('<f4',)", "(2, 2)")), "header", "no .npy", "numpy"),
    "truth for a length": (zipped("a.npy", told_npy("'<f4'", "(True, 2)")), "shape", "no whole", "numpy"),
    "an axis beyond all": (zipped("a.npy", told_npy("'<f4'", f"({'9' * 300},)")), "shape", "10^12", "512 MiB"),
}


@pytest.mark.parametrize("fault", NPZ_FAULTS)
def test_a_bad_npz_is_refused_with_field_found_and_wanted(tmp_path, fault):
    content, field, found, wanted = NPZ_FAULTS[fault]
    (tmp_path / "scan.npz").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_array(tmp_path / "scan.npz", ".npz")
    told = caught.value.where
    assert told.startswith(f"scan.npz, {field}: found ")
    assert found in told.split(", wanted ")[0]
    assert wanted in told.split(", wanted ")[-1]


@pytest.mark.parametrize(
    ("arrays", "field"),
    [
        ({"voxels": voxels(), "affine": np.zeros((4, 4))}, "affine"),
        ({"voxels": voxels(), "affine": np.eye(3)}, "affine"),
        ({"voxels": voxels()[0], "affine": AFFINE}, "voxels"),
        ({"voxels": voxels(), "affine": AFFINE.T}, "affine"),
        ({"voxels": voxels(), "affine": AFFINE * 1e200}, "affine"),
        ({"voxels": voxels(), "other": AFFINE}, "arrays"),
    ],
)
def test_an_npz_without_a_frame_it_claims_is_refused(tmp_path, arrays, field):
    np.savez(tmp_path / "scan.npz", **arrays)
    with pytest.raises(BadInput) as caught:
        read_volume(tmp_path / "scan.npz")
    assert caught.value.where.startswith(f"scan.npz, {field}: found ")
