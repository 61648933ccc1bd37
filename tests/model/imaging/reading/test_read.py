"""Whatever kind a study is of, it is read into one frame; what nobody said stays unknown."""

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from model.imaging.prepare import prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.read import read_labels, read_volume
from model.interface.errors import BadInput
from tests.model.imaging.phantom import AFFINE, CONTRACT, ORIENTATIONS, head, save, slice_of, voxels
from tests.model.imaging.reading.niftis import patched


def with_values(value: float, n: int) -> np.ndarray:
    array = voxels()
    array.ravel()[:n] = value
    return array


@pytest.mark.parametrize(("value", "told"), [(np.nan, "9 NaN"), (np.inf, "9 infinite"), (-np.inf, "9 infinite")])
def test_a_few_voxels_without_a_value_are_filled_and_told(tmp_path, value, told):
    volume = read_volume(save(tmp_path / "scan.nii", with_values(value, 9), AFFINE))
    assert any(told in warning for warning in volume.warnings)
    filled = volume.voxels.ravel()[:9]
    assert set(filled.tolist()) == {300.0 if value == np.inf else 0.0}


@pytest.mark.parametrize("orientation", ORIENTATIONS[::5], ids=str)
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_single_slice_finds_its_plane(tmp_path, plane, orientation):
    cut = slice_of(head(), plane, 9)
    volume = read_volume(save(tmp_path / "slice.nii", cut.voxels, cut.affine, orientation))
    assert volume.plane == plane
    assert volume.dimension == 2
    assert np.array_equal(volume.voxels, cut.voxels)
    assert np.allclose(volume.affine, cut.affine, atol=1e-5)


def test_a_ct_is_guessed_from_air_and_said_so(tmp_path):
    path = save(tmp_path / "scan.nii", voxels() - 1000, AFFINE)
    guessed, told = read_volume(path), read_volume(path, Declared("MR"))
    assert guessed.modality == "CT"
    assert any("taken for a CT" in warning for warning in guessed.warnings)
    assert told.modality == "MR"
    assert not told.warnings
    assert read_volume(save(tmp_path / "mr.nii", voxels(), AFFINE)).modality == ""


def test_a_picture_has_no_sides_until_they_are_declared(tmp_path):
    path = tmp_path / "scan.png"
    array = np.zeros((40, 40), np.uint8)
    array[:10, :10] = 200
    Image.fromarray(array).save(path)
    plain, declared = read_volume(path), read_volume(path, Declared(radiological=True))
    assert (plain.plane, plain.frame_known) == ("image", False)
    assert (declared.plane, declared.frame_known) == ("axial", True)
    assert declared.voxels[-5, -5, 0] == 200, "top left is the patient's right, anterior"
    one, other = (prepare(volume, CONTRACT).slices for volume in (plain, declared))
    assert np.array_equal(one, other), "declaring sides does not change the picture"
    assert prepare(declared, CONTRACT).frame.affine is None, "nor does it give a spacing"


def test_declared_sides_put_millimetres_where_itk_puts_them(tmp_path):
    """A file without an orientation: ITK counts from its first voxel, to the left and to the back."""
    path = tmp_path / "scan.nii"
    path.write_bytes(patched(252, "<2h", 0, 0))
    volume, theirs = read_volume(path, Declared(radiological=True)), SimpleITK.ReadImage(str(path))
    ours = volume.in_file.affine(volume.affine)
    assert any("left and right are as declared" in warning for warning in volume.warnings)
    for index in ((0, 0, 0), (25, 0, 3), (4, 30, 17)):
        mm = np.array(theirs.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        assert np.allclose((ours @ [*index, 1])[:3], mm)


def test_a_declared_frame_gives_way_to_the_files_own(tmp_path):
    path = save(tmp_path / "scan.nii", voxels(), AFFINE)
    plain, declared = read_volume(path), read_volume(path, Declared(radiological=True))
    assert np.array_equal(plain.voxels, declared.voxels)
    assert any("not used" in warning for warning in declared.warnings)


def test_grey_levels_are_never_hounsfield_units(tmp_path):
    Image.fromarray(np.eye(40, dtype=np.uint8) * 200).save(tmp_path / "scan.png")
    volume = read_volume(tmp_path / "scan.png", Declared("CT"))
    assert volume.modality == ""
    assert any("not Hounsfield" in warning for warning in volume.warnings)


def test_a_thin_axis_of_an_unknown_frame_becomes_the_slice(tmp_path):
    np.save(tmp_path / "scan.npy", np.random.default_rng(0).random((30, 20, 1)))
    volume = read_volume(tmp_path / "scan.npy")
    assert volume.shape == (20, 30, 1)
    assert volume.dimension == 2


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_labels_come_as_they_were_stored_turned_as_their_image_is(tmp_path, kind):
    labels = np.zeros(voxels().shape, kind)
    labels[3:9, 4:20, 2:5], labels[20:22, 30:, 9:] = 3, min(65535, np.iinfo(kind).max if kind != np.float32 else 65535)
    for orientation in ORIENTATIONS[::7]:
        found = read_labels(save(tmp_path / "labels.nii.gz", labels, AFFINE, orientation))
        assert (found.voxels == labels).all()
        assert np.allclose(found.affine, AFFINE)


def test_labels_may_be_all_the_same(tmp_path):
    for value in (0, 1):
        path = save(tmp_path / "mask.nii.gz", np.full((8, 8, 8), value, np.uint8), AFFINE)
        assert (read_labels(path).voxels == value).all()


@pytest.mark.parametrize(("value", "told"), [(2.5, "0 to 2.5, with fractions"), (-3, "-3 to 0"), (65536, "0 to 65536")])
def test_what_is_no_label_map_is_refused(tmp_path, value, told):
    labels = np.zeros((8, 8, 8), np.float32)
    labels[1, 2, 3] = value
    with pytest.raises(BadInput, match="not a label map") as caught:
        read_labels(save(tmp_path / "labels.nii.gz", labels, AFFINE))
    assert told in caught.value.where
