"""What numpy saved is read in the order its kind has; an .npz brings its affine."""

import numpy as np
import pytest

from model.imaging.reading.arrays import read_array
from model.imaging.reading.read import read_volume
from tests.model.imaging.phantom import AFFINE, ORIENTATIONS, stored_as, voxels

GREY = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)


def test_npy_is_row_column_or_slice_row_column(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, GREY)
    assert np.array_equal(read_array(path, ".npy").voxels, GREY.T[:, :, None])
    stack = np.random.default_rng(0).random((5, 7, 9))
    np.save(path, stack)
    assert np.allclose(read_array(path, ".npy").voxels, stack.transpose(2, 1, 0))


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
