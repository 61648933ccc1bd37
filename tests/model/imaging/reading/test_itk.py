"""NRRD and MetaImage lie where ITK puts them."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from model.imaging.reading.planes import LPS_TO_RAS
from model.imaging.reading.read import read_volume
from tests.model.imaging.phantom import AFFINE, ORIENTATIONS, stored_as, voxels

TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])


def written(path: Path, array: np.ndarray, affine: np.ndarray) -> Path:
    """affine: (4, 4) to mm, RAS+."""
    image = SimpleITK.GetImageFromArray(array.transpose(2, 1, 0))
    lps = LPS_TO_RAS @ affine
    pitch = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(pitch.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / pitch).ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    return path


@pytest.mark.parametrize("kind", ["nrrd", "mha"])
@pytest.mark.parametrize("orientation", ORIENTATIONS[::11], ids=str)
def test_a_volume_is_read_however_it_lies(tmp_path, kind, orientation):
    array, affine = stored_as(voxels(), AFFINE, orientation)
    volume = read_volume(written(tmp_path / f"scan.{kind}", array, affine))
    assert volume.frame_known
    assert np.array_equal(volume.voxels, voxels())
    assert np.allclose(volume.affine, AFFINE)


@pytest.mark.parametrize("kind", ["nrrd", "mha"])
def test_an_oblique_voxel_lies_where_itk_puts_it(tmp_path, kind):
    affine = AFFINE.copy()
    affine[:3, :3] = TURN @ affine[:3, :3]
    path = written(tmp_path / f"scan.{kind}", voxels(), affine)
    volume = read_volume(path)
    theirs = SimpleITK.ReadImage(str(path)).TransformIndexToPhysicalPoint((3, 7, 11))
    index = np.linalg.inv(volume.in_file.index) @ [3, 7, 11, 1]
    assert np.allclose((volume.affine @ index)[:3], np.array(theirs) * [-1, -1, 1], atol=1e-4)


def test_a_flat_metaimage_has_no_sides(tmp_path):
    image = SimpleITK.GetImageFromArray(np.arange(600, dtype=np.int16).reshape(30, 20))
    SimpleITK.WriteImage(image, str(tmp_path / "scan.mha"))
    volume = read_volume(tmp_path / "scan.mha")
    assert (volume.plane, volume.frame_known, volume.shape) == ("image", False, (20, 30, 1))
