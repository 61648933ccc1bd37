"""NRRD and MetaImage lie where ITK puts them; what ITK makes up is not believed."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from model.imaging.reading.planes import LPS_TO_RAS
from model.imaging.reading.read import read_volume
from model.interface.errors import BadInput
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


def nrrd(*lines: str, body: bytes = bytes(range(256)) * 4) -> bytes:
    told = ["NRRD0004", "type: uchar", "dimension: 3", "sizes: 8 8 16", "encoding: raw", *lines]
    return "\n".join(told).encode() + b"\n\n" + body


@pytest.mark.parametrize(
    "lines", [["spacings: 1 1 2"], ["space: scanner-xyz", "space directions: (1,0,0) (0,1,0) (0,0,2)"]]
)
def test_an_orientation_that_nobody_gave_is_not_known(tmp_path, lines):
    (tmp_path / "scan.nrrd").write_bytes(nrrd(*lines))
    volume = read_volume(tmp_path / "scan.nrrd")
    assert not volume.frame_known
    assert any("left and right are not known" in warning for warning in volume.warnings)


def test_a_flat_metaimage_has_no_sides(tmp_path):
    image = SimpleITK.GetImageFromArray(np.arange(600, dtype=np.int16).reshape(30, 20))
    SimpleITK.WriteImage(image, str(tmp_path / "scan.mha"))
    volume = read_volume(tmp_path / "scan.mha")
    assert (volume.plane, volume.frame_known, volume.shape) == ("image", False, (20, 30, 1))


FAULTS = {
    "elsewhere": (nrrd("data file: secret.raw"), "data file"),
    "elsewhere, far down": (nrrd(*["# " + "x" * 70] * 300, "data file: secret.raw"), "data file"),
    "endless header": (nrrd(*["# " + "x" * 70] * 3000), "header"),
    "cut": (nrrd(body=bytes(9)), "data"),
    "huge": (nrrd().replace(b"8 8 16", b"9999 9999 9999"), "shape"),
    "4-D": (nrrd().replace(b"dimension: 3", b"dimension: 4").replace(b"8 8 16", b"8 8 4 4"), "dimension"),
    "mha elsewhere": (b"ObjectType = Image\nNDims = 3\nElementDataFile = secret.raw\n", "data file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused(tmp_path, fault):
    content, field = FAULTS[fault]
    (tmp_path / "secret.raw").write_bytes(bytes(range(256)) * 4)
    path = tmp_path / ("scan.mha" if "mha" in fault else "scan.nrrd")
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_volume(path)
    assert caught.value.where.startswith(f"{path.name}, {field}: found ")
