from dataclasses import replace

import numpy as np
import pytest

from model.imaging.volume import Volume
from tests.model.imaging.phantom import AFFINE, head, slice_of


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
