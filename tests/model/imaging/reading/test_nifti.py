import gzip
import struct
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension

from model.imaging.reading.nifti import read_nifti
from model.interface.errors import BadInput
from tests.model.imaging.phantom import AFFINE, SHAPE, save, voxels


def image(array: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> bytes:
    return nib.Nifti1Image(np.round(voxels()).astype(np.int16) if array is None else array, affine).to_bytes()


def patched(offset: int, layout: str, *values: object, raw: bytes | None = None) -> bytes:
    """A NIfTI with some bytes of its header replaced."""
    changed = bytearray(image() if raw is None else raw)
    struct.pack_into(layout, changed, offset, *values)
    return bytes(changed)


def dims(*eight: int) -> bytes:
    return patched(40, "<8h", *eight)


FAULTS = {
    "header cut": (image()[:200], "header", "200 bytes", "348"),
    "header only": (image()[:348], "vox_offset", "past the end", "bytes there"),
    "voxels cut": (image()[:-1000], "voxels", "30824 bytes", "31824"),
    "no NIfTI": (patched(0, "<i", 999), "sizeof_hdr", "999", "348 or 540"),
    "magic": (patched(344, "4s", b"xxx\0"), "magic bytes", "xxx", "n+1"),
    "two files": (patched(344, "4s", b"ni1\0"), "magic", ".hdr", "one file"),
    "negative length": (dims(3, -16, 16, 8, 1, 1, 1, 1), "dim[1]", "-16", "at least 1"),
    "no length": (dims(3, 0, 16, 8, 1, 1, 1, 1), "dim[1]", "0", "at least 1"),
    "nine axes": (dims(9, 16, 16, 8, 1, 1, 1, 1), "dim[0]", "9", "2 or 3"),
    "huge": (dims(3, 32767, 32767, 32767, 1, 1, 1, 1), "shape", "TiB", "512 MiB"),
    "4-D": (image(np.ones((8, 8, 8, 30), np.int16)), "dim", "4-D, 8 x 8 x 8 x 30", "3-D"),
    "5-D": (image(np.ones((8, 8, 8, 1, 3), np.int16)), "dim", "5-D", "3-D"),
    "RGB": (image(np.zeros((8, 8, 8), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "datatype", "RGB", "grey"),
    "complex": (image(np.ones((8, 8, 8), np.complex64)), "datatype", "complex", "real"),
    "data type": (patched(70, "<h", 9999), "datatype", "9999", "one of 2, 4"),
    "offset far": (patched(108, "<f", 1e9), "vox_offset", "1e+09", "up to"),
    "offset negative": (patched(108, "<f", -100.0), "vox_offset", "negative", "352"),
    "offset NaN": (patched(108, "<f", float("nan")), "vox_offset", "not a number", "352"),
    "extension": (patched(348, "<4Bii", 1, 0, 0, 0, 0x7FFFFFF0, 6), "extension", "2147483632", "none"),
    "overflow": (patched(112, "<2f", 3e38, 3e38), "scl_slope", "overflow", "float32"),
    "intercept NaN": (patched(112, "<2f", 2.0, float("nan")), "scl_inter", "not a number", "a number"),
    "singular": (patched(312, "<4f", 0, 0, 0, 0, raw=patched(252, "<2h", 0, 2)), "affine", "singular", "independent"),
    "affine NaN": (patched(280, "<12f", *[float("nan")] * 12), "affine", "NaN", "finite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused_with_field_found_and_wanted(tmp_path, fault):
    raw, field, found, wanted = FAULTS[fault]
    path = tmp_path / "scan.nii"
    path.write_bytes(raw)
    with pytest.raises(BadInput) as caught:
        read_nifti(path)
    told = caught.value.where
    assert told.startswith(f"scan.nii, {field}: found ")
    assert found in told.split(", wanted ")[0]
    assert wanted in told.split(", wanted ")[-1]


def test_a_damaged_gzip_is_refused(tmp_path):
    path, whole = tmp_path / "scan.nii.gz", gzip.compress(image(), mtime=0)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="decompress") as caught:
        read_nifti(path)
    assert "truncated" in caught.value.where
    path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 0xFF]) + whole[-7:])
    with pytest.raises(BadInput, match="decompress") as caught:
        read_nifti(path)
    assert "checksum" in caught.value.where


def test_a_bomb_is_refused_on_its_header_alone(tmp_path):
    header = patched(40, "<8h", 3, 1024, 1024, 1024, 1, 1, 1, 1)[:352]
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header + bytes(32 << 20), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(BadInput, match="over the size limit"):
        read_nifti(path)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


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
    assert any("left and right" in warning for warning in stored.warnings)
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
