from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.imaging.reading.files import oriented
from model.imaging.volume import FileGrid, Volume
from model.interface.boxes import Box
from tests.model.imaging.phantom import AFFINE, ORIENTATIONS, head, slice_of, stored_as


def test_spacing_is_read_from_the_affine():
    assert head().spacing_mm == (1.5, 1.0, 2.0)


def test_spacing_of_an_oblique_scan_is_the_length_of_its_axes():
    turn = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert np.allclose(replace(head(), affine=turn @ AFFINE).spacing_mm, (1.5, 1.0, 2.0))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_one_slice_is_an_image_in_its_plane(plane):
    cut = slice_of(head(), plane, 9)
    assert cut.dimension == 2
    assert head().dimension == 3


def test_a_plane_needs_its_own_axis_thin():
    with pytest.raises(ValueError, match="one coronal slice"):
        Volume(np.zeros((4, 4, 1)), np.eye(4), "", True, "coronal")


def test_a_known_frame_has_a_plane_and_an_unknown_one_has_none():
    with pytest.raises(ValueError, match="plane 'image' with frame_known=True"):
        Volume(np.zeros((4, 4, 4)), np.eye(4), "", True, "image")
    with pytest.raises(ValueError, match="plane 'axial' with frame_known=False"):
        Volume(np.zeros((4, 4, 4)), np.eye(4), "", False, "axial")


def test_digest_follows_voxels_shape_type_and_affine():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volumes = [
        Volume(array, AFFINE, "", True, "axial"),
        Volume(array.reshape(3, 2, 4), AFFINE, "", True, "axial"),
        Volume(array.view(np.uint16), AFFINE, "", True, "axial"),
        Volume(array + 1, AFFINE, "", True, "axial"),
        Volume(array, AFFINE * 2, "", True, "axial"),
    ]
    assert len({volume.digest for volume in volumes}) == 5


def test_digest_does_not_depend_on_memory_layout():
    volume = head()
    fortran = replace(volume, voxels=np.asfortranarray(volume.voxels))
    assert fortran.digest == volume.digest


@given(low=st.tuples(*[st.integers(0, 3)] * 3), size=st.tuples(*[st.integers(1, 4)] * 3), k=st.integers(0, 47))
def test_a_box_of_a_turned_mask_is_the_turned_box(low, size, k):
    """However the file lies, a box goes back to the voxels it is around."""
    mask = np.zeros((7, 8, 9), np.float32)
    mask[tuple(slice(a, a + n) for a, n in zip(low, size, strict=True))] = 1
    stored, affine = stored_as(mask, AFFINE, ORIENTATIONS[k])
    turned, back, index = oriented(stored, affine)
    assert np.array_equal(turned, mask)
    assert np.allclose(back, AFFINE)
    grid = FileGrid((stored.shape[0], stored.shape[1], stored.shape[2]), index)
    assert grid.box(box_of(turned)) == box_of(stored)
    assert np.allclose(grid.affine(back), affine)


def box_of(mask: np.ndarray) -> Box:
    found = np.argwhere(mask)
    return Box.of((*found.min(0).tolist(), *(found.max(0) + 1).tolist()))
