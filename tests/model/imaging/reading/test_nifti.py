"""A NIfTI lies where its affine puts it, its voxels rescaled; what is assumed is told."""

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Extension

from model.imaging.reading.files import NO_ORIENTATION
from model.imaging.reading.nifti import read_nifti
from tests.model.imaging.phantom import AFFINE, SHAPE, save, voxels
from tests.model.imaging.reading.niftis import patched


def test_voxels_and_places_survive_a_round_trip(tmp_path):
    stored = read_nifti(save(tmp_path / "scan.nii.gz", voxels(), AFFINE))
    assert np.array_equal(stored.voxels, voxels())
    assert np.allclose(stored.affine, AFFINE)
    assert stored.voxels.dtype == np.float32
    assert not stored.warnings


def test_slope_and_intercept_are_applied(tmp_path):
    path = tmp_path / "scan.nii"
    path.write_bytes(patched(112, "<2f", 2.0, -1024.0))
    assert np.allclose(read_nifti(path).voxels, np.round(voxels()) * 2 - 1024)


def test_big_endian_and_nifti_2_are_read(tmp_path):
    array = np.round(voxels()).astype(">i2")
    big = nib.Nifti1Image(array, AFFINE, header=nib.Nifti1Header(endianness=">"))
    for path, found in ((tmp_path / "big.nii", big), (tmp_path / "two.nii", nib.Nifti2Image(array, AFFINE))):
        found.to_filename(path)
        assert np.array_equal(read_nifti(path).voxels, array)


def test_an_extension_is_skipped(tmp_path):
    found = nib.Nifti1Image(voxels(), AFFINE)
    found.header.extensions.append(Nifti1Extension("comment", b"patient name"))
    found.to_filename(tmp_path / "scan.nii")
    assert np.array_equal(read_nifti(tmp_path / "scan.nii").voxels, voxels())


def test_a_disagreement_of_sform_and_qform_is_told_and_the_sform_wins(tmp_path):
    found = nib.Nifti1Image(voxels(), AFFINE)
    found.set_qform(np.diag([-1.0, 1, 1, 1]) @ AFFINE, code=1)
    found.to_filename(tmp_path / "scan.nii")
    stored = read_nifti(tmp_path / "scan.nii")
    assert any("sform and qform disagree" in warning for warning in stored.warnings)
    assert np.array_equal(stored.voxels, voxels())


def test_without_sform_and_qform_nothing_is_turned(tmp_path):
    path = tmp_path / "scan.nii"
    path.write_bytes(patched(252, "<2h", 0, 0))
    stored = read_nifti(path)
    assert not stored.frame_known
    assert stored.spacing_known
    assert np.allclose(np.diag(stored.affine), (1.5, 1, 2, 1))
    assert NO_ORIENTATION in stored.warnings
    path.write_bytes(patched(76, "<8f", *[0.0] * 8, raw=path.read_bytes()))
    assert not read_nifti(path).spacing_known


def test_an_oblique_affine_is_kept_and_told(tmp_path):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    stored = read_nifti(save(tmp_path / "scan.nii", voxels(), turn @ AFFINE))
    assert np.allclose(stored.affine, turn @ AFFINE, atol=1e-5)
    assert any("oblique by 17 degrees" in warning for warning in stored.warnings)


def test_metres_become_mm(tmp_path):
    found = nib.Nifti1Image(voxels(), np.diag([0.001, 0.001, 0.001, 1]))
    found.header.set_xyzt_units("meter")
    found.to_filename(tmp_path / "scan.nii")
    assert np.allclose(read_nifti(tmp_path / "scan.nii").affine, np.eye(4), atol=1e-6)


def test_a_fourth_axis_of_length_one_is_no_fault(tmp_path):
    assert read_nifti(save(tmp_path / "scan.nii", voxels()[..., None], AFFINE)).voxels.shape == SHAPE
