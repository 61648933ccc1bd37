"""Series made here are read as the volume they were cut from; what can't be read right is refused by name."""

import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.imaging.prepare import prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.planes import LPS_TO_RAS
from model.imaging.reading.read import read_volume
from tests.bad_input.case import file_of
from tests.bad_input.dicom import ODD, deflated, made
from tests.model.imaging.phantom import AFFINE, CONTRACT, ORIENTATIONS, stored_as
from tests.model.imaging.reading.dicoms import CANARY, HEAD, ORDER, header, multi_frame, pixels, save, slices_of, with_

ODDITIES = {name: content for name, _, content, _ in ODD}


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_a_series_is_the_volume_it_was_cut_from_however_it_lies(tmp_path, orientation):
    array, affine = stored_as(HEAD, AFFINE, orientation)
    volume = read_volume(save(tmp_path / "series", slices_of(array, affine)))
    assert np.array_equal(volume.voxels, HEAD)
    assert np.allclose(volume.affine, AFFINE)
    assert (volume.modality, volume.frame_known, volume.spacing_known) == ("CT", True, True)
    assert not volume.warnings
    file = volume.in_file.affine(volume.affine)
    assert np.allclose(file[:3, :2], affine[:3, :2])
    assert np.allclose(file[:3, 2], affine[:3, 2] * np.sign(np.linalg.det(affine[:3, :3]))), "along the normal"


@given(angles=st.tuples(*[st.floats(-40, 40)] * 3), pitch=st.tuples(*[st.floats(0.3, 6)] * 3), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_an_oblique_series_keeps_every_place_in_mm(tmp_path_factory, angles, pitch, seed):
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(angles)):
        one, (a, b) = np.eye(3), [k for k in range(3) if k != axis]
        one[[a, b], [a, b]], one[a, b], one[b, a] = np.cos(angle), -np.sin(angle), np.sin(angle)
        turn = turn @ one
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * pitch, np.random.default_rng(seed).uniform(-99, 99, 3)
    array = np.zeros((9, 8, 7))
    bright = tuple(int(n) for n in np.random.default_rng(seed).integers(1, 6, 3))
    array[bright] = 1000
    volume = read_volume(save(tmp_path_factory.mktemp("series"), slices_of(array, affine)))
    [found] = np.argwhere(volume.voxels == 1000)
    where = (volume.affine @ [*found, 1])[:3]
    assert np.allclose(where, (affine @ [*bright, 1])[:3], atol=1e-3)
    assert np.allclose(volume.in_file.index @ [*found, 1], [*bright, 1])


def test_neither_names_nor_numbers_put_slices_in_order(tmp_path):
    made = slices_of(HEAD, AFFINE)
    shuffled = [made[k] for k in np.random.default_rng(0).permutation(len(made))]
    for k, one in enumerate(shuffled):
        one.InstanceNumber = k
    assert np.array_equal(read_volume(save(tmp_path / "series", shuffled)).voxels, HEAD)


def test_a_repeated_slice_is_used_once_and_said(tmp_path):
    made = slices_of(HEAD, AFFINE)
    volume = read_volume(save(tmp_path / "series", [*made, *slices_of(HEAD, AFFINE)[3:5]]))
    assert np.array_equal(volume.voxels, HEAD)
    assert any("2 of 20 slices lie where another does" in warning for warning in volume.warnings)


def test_rounded_positions_do_not_add_up(tmp_path):
    made = slices_of(np.zeros((4, 4, 400)), np.diag([1, 1, 1.504, 1]))
    for k, one in enumerate(made):
        pixels(one, np.full((4, 4), k, np.int16))
        one.ImagePositionPatient = [0, 0, round(1.504 * k, 2)]
    volume = read_volume(save(tmp_path / "series", made))
    assert volume.shape[2] == 400
    assert (volume.affine @ [0, 0, 399, 1])[2] == pytest.approx(1.504 * 399, abs=0.01)


def test_slices_at_uneven_steps_are_put_on_even_ones(tmp_path):
    """A ramp along z comes out as the same ramp in mm."""
    steps = np.array([2.0, 2.0, 2.0, 2.6, 3.0, 2.4, 2.0, 2.0])
    places = np.concatenate([[0], steps.cumsum()])
    made = slices_of(np.zeros((6, 5, 9)), np.eye(4))
    for one, z in zip(made, places, strict=True):
        pixels(one, np.full((5, 6), round(100 * z), np.int16))
        one.ImagePositionPatient = [0, 0, float(z)]
    volume = read_volume(save(tmp_path / "series", made))
    z = volume.affine[2, 3] + volume.affine[2, 2] * np.arange(volume.shape[2])
    assert np.allclose(volume.voxels[2, 2], 100 * z, atol=0.6)
    assert z[0] == 0
    assert 0 <= places[-1] - z[-1] < 2
    assert any("2 to 3 mm apart: resampled every 2 mm" in warning for warning in volume.warnings)


def test_a_tilted_gantry_shears_the_frame_and_nothing_else(tmp_path):
    made = slices_of(HEAD, AFFINE)
    for k, one in enumerate(made):
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y + 0.8 * k, z]
    volume = read_volume(save(tmp_path / "series", made))
    assert np.array_equal(volume.voxels, HEAD)
    assert np.allclose(volume.affine[:3, 2], [0, -0.8, 2])
    assert any("tilted by 22 degrees" in warning for warning in volume.warnings)


def test_one_of_several_series_is_chosen_by_number(tmp_path):
    other = [with_(one, SeriesInstanceUID="1.2.3") for one in slices_of(HEAD[:, :, :5] + 7, AFFINE)]
    folder = save(tmp_path / "study", slices_of(HEAD, AFFINE) + other)
    assert np.array_equal(read_volume(folder, Declared(series=1)).voxels, HEAD)
    assert np.array_equal(read_volume(folder, Declared(series=2)).voxels, HEAD[:, :, :5] + 7)


def test_scouts_reports_and_foreign_files_in_a_folder_change_nothing(tmp_path):
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout = with_(slices_of(HEAD[:, :, :1], AFFINE)[0], SeriesInstanceUID="1.2.3", ImageType=kind)
    report = header(Modality="SR", SeriesInstanceUID="1.2.4")
    folder = save(tmp_path / "study", [*slices_of(HEAD, AFFINE), scout, report])
    (folder / "notes.txt").write_text("hello")
    volume = read_volume(folder)
    assert np.array_equal(volume.voxels, HEAD)
    assert len(volume.warnings) == 3


@pytest.mark.parametrize("oddity", ["spacing 0", "character set", "executable", "UID"])
def test_an_oddity_changes_no_voxel(tmp_path, oddity):
    plain, odd = (file_of(name, content)(tmp_path) for name, content in (("a", made()), ("b", ODDITIES[oddity])))
    assert np.array_equal(read_volume(odd).voxels, read_volume(plain).voxels), "and a DICOM file needs no suffix"


def test_a_deflated_file_is_the_same(tmp_path):
    plain, packed = (file_of(name, build)(tmp_path) for name, build in (("a", made()), ("b", lambda: deflated(0))))
    assert np.array_equal(read_volume(packed).voxels, read_volume(plain).voxels)


def test_a_colour_slice_keeps_its_colours(tmp_path):
    rgb = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    told = header(Modality="US", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, **eight)
    volume = read_volume(save(tmp_path / "a", [pixels(told, rgb)]) / "0000.dcm")
    assert np.array_equal(volume.voxels[:, :, 0].transpose(1, 0, 2), rgb)


def test_numbers_are_rescaled_slice_by_slice(tmp_path):
    made = slices_of(HEAD, AFFINE)
    for k, one in enumerate(made):
        with_(one, Modality="PT", RescaleSlope=k + 1, RescaleIntercept=-k, RescaleType="BQML")
    volume = read_volume(save(tmp_path / "series", made))
    k = np.arange(18)
    assert np.array_equal(volume.voxels, HEAD * (k + 1) - k)
    assert volume.modality == "PT"


def test_a_zip_is_the_folder_in_it(tmp_path):
    folder = save(tmp_path / "series", slices_of(HEAD, AFFINE))
    with zipfile.ZipFile(tmp_path / "series.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"any/where/{path.name}")
        archive.writestr("__MACOSX/any/._x", b"junk")
    before = set(tmp_path.rglob("*"))
    volume = read_volume(tmp_path / "series.zip")
    assert np.array_equal(volume.voxels, HEAD)
    assert volume.digest == read_volume(folder).digest
    assert set(tmp_path.rglob("*")) == before, "nothing was unpacked"


def image(**changed: object) -> pydicom.Dataset:
    """A radiograph: no place in the patient."""
    ramp = np.add.outer(np.arange(30), 2 * np.arange(20)).astype(np.int16)
    return pixels(header(**{"Modality": "DX", "RescaleType": "US"} | changed), ramp)


def test_a_radiograph_has_sides_where_the_header_tells_them(tmp_path):
    ramp = np.add.outer(np.arange(30), 2 * np.arange(20)).astype(np.float32)
    plain = read_volume(save(tmp_path / "a", [image()]) / "0000.dcm")
    assert (plain.plane, plain.frame_known) == ("image", False)
    assert np.array_equal(plain.voxels[:, :, 0].T, ramp)
    seen = prepare(plain, CONTRACT).slices
    for sides in (["L", "F"], ["LA", "FP"]):
        told = read_volume(save(tmp_path / "b", [image(PatientOrientation=sides)]) / "0000.dcm")
        assert (told.plane, told.frame_known, told.spacing_known) == ("coronal", True, False)
        assert np.array_equal(prepare(told, CONTRACT).slices, seen), "the patient's right is at the left already"
    turned = read_volume(save(tmp_path / "c", [image(PatientOrientation=["R", "F"])]) / "0000.dcm")
    assert np.array_equal(prepare(turned, CONTRACT).slices, seen[:, :, ::-1])


def test_monochrome1_is_turned_after_rescaling(tmp_path):
    made = [image(PhotometricInterpretation="MONOCHROME1", RescaleSlope=2, RescaleIntercept=5)]
    ramp = 2 * np.add.outer(np.arange(30), 2 * np.arange(20)) + 5
    volume = read_volume(save(tmp_path / "a", made) / "0000.dcm")
    assert np.array_equal(volume.voxels[:, :, 0].T, ramp.max() + ramp.min() - ramp)


def test_inverted_slices_of_a_series_still_compare(tmp_path):
    levels = np.array([100, 200, 300]) + np.arange(26)[:, None, None] + np.zeros((26, 34, 1))
    made = slices_of(levels, AFFINE)
    for one in made:
        with_(one, Modality="NM", PhotometricInterpretation="MONOCHROME1", RescaleType=None)
    means = read_volume(save(tmp_path / "a", made)).voxels.mean((0, 1))
    assert means[0] > means[1] > means[2]


def test_a_ct_is_in_hounsfield_units_however_it_is_shown(tmp_path):
    made = slices_of(HEAD, AFFINE)
    for one in made:
        one.PhotometricInterpretation = "MONOCHROME1"
    assert np.array_equal(read_volume(save(tmp_path / "a", made)).voxels, HEAD)


def test_padding_of_an_inverted_picture_is_black(tmp_path):
    ramp = np.arange(600, dtype=np.int16).reshape(30, 20)
    ramp[:5] = 4095
    made = pixels(header(Modality="DX", PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=4095), ramp)
    volume = read_volume(save(tmp_path / "a", [made]) / "0000.dcm")
    assert (volume.voxels[:, :5] == volume.voxels.min()).all()


def test_padding_is_never_an_extreme(tmp_path):
    ramp = np.arange(600, dtype=np.int16).reshape(30, 20)
    ramp[:5] = -2000
    ramp[5] = -1990
    made = pixels(header(PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990), ramp)
    assert read_volume(save(tmp_path / "a", [made]) / "0000.dcm").voxels.min() == 120


@pytest.mark.parametrize(("name", "value"), [("ImagerPixelSpacing", [0.2, 0.1]), ("PixelAspectRatio", [2, 1])])
def test_what_is_measured_elsewhere_gives_the_aspect_only(tmp_path, name, value):
    volume = read_volume(save(tmp_path / "a", [image(**{name: value})]) / "0000.dcm")
    assert not volume.spacing_known
    assert volume.spacing_mm[1] != volume.spacing_mm[0]
    assert prepare(volume, CONTRACT).frame.affine is None


def test_a_frame_of_a_cine_loop_is_chosen(tmp_path):
    frames = np.arange(3 * 30 * 20, dtype=np.int16).reshape(3, 30, 20)
    loop = pixels(header(Modality="XA", NumberOfFrames=3), frames[0])
    loop.PixelData = frames.tobytes()
    path = save(tmp_path / "a", [loop]) / "0000.dcm"
    assert np.array_equal(read_volume(path, Declared(index=2)).voxels[:, :, 0].T, frames[2])


def test_a_frame_of_a_volume_keeps_its_place(tmp_path):
    path = save(tmp_path / "a", [multi_frame()]) / "0000.dcm"
    where = ORDER.tolist().index(9)
    one = read_volume(path, Declared(index=where))
    assert (one.dimension, one.plane, one.frame_known) == (2, "axial", True)
    assert np.array_equal(one.voxels[:, :, 0], 2 * HEAD[:, :, 9] - 1000)
    assert np.allclose(one.affine[:3, 3], (AFFINE @ [0, 0, 9, 1])[:3])
    series = save(tmp_path / "b", slices_of(HEAD, AFFINE))
    assert read_volume(series / "0009.dcm", Declared(index=0)).frame_known


def test_deep_colours_are_shown_in_full(tmp_path):
    rgb = (np.random.default_rng(1).integers(0, 256, (16, 16, 3)) * 16).astype(np.uint16)
    twelve = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "PlanarConfiguration": 0}
    made = header(Modality="CT", SamplesPerPixel=3, PhotometricInterpretation="RGB", **twelve)
    volume = read_volume(save(tmp_path / "a", [pixels(made, rgb)]) / "0000.dcm")
    assert np.array_equal(volume.voxels[:, :, 0].transpose(1, 0, 2), rgb >> 4)
    assert volume.modality == "", "a fused picture is not in Hounsfield units"


def test_burnt_in_text_is_refused_unless_allowed(tmp_path):
    path = save(tmp_path / "a", [image(BurnedInAnnotation="YES")]) / "0000.dcm"
    assert any("may be written" in w for w in read_volume(path, Declared(allow_burned_in=True)).warnings)
    ultrasound = save(tmp_path / "b", [image(Modality="US")]) / "0000.dcm"
    assert any("nobody said" in w for w in read_volume(ultrasound).warnings)


def test_nothing_that_names_a_person_is_kept(tmp_path):
    volume = read_volume(save(tmp_path / CANARY, slices_of(HEAD, AFFINE)))
    assert CANARY not in repr(replace(volume, voxels=np.zeros((2, 2, 2))))
    other = slices_of(HEAD, AFFINE)
    for one in other:
        with_(one, PatientName="Somebody", SeriesInstanceUID="9.9.9", StudyDate="20200101")
    assert read_volume(save(tmp_path / "b", other)).digest == volume.digest


def found(name: str) -> Path:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path)


def test_a_multi_frame_ct_is_in_hounsfield_units_and_where_highdicom_puts_it():
    """pydicom's own rescaling leaves this file as stored (pydicom#2353)."""
    path = found("eCT_Supplemental.dcm")
    volume = read_volume(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = pydicom.dcmread(path)
        theirs = highdicom.Image.from_dataset(raw).get_volume(apply_modality_transform=True)
    assert volume.voxels.min() == int(raw.pixel_array.min()) - 1024
    corners = np.array([[0, 0, 0, 1], [1, 511, 511, 1], [0, 200, 77, 1]]).T
    mm = LPS_TO_RAS @ theirs.affine @ corners
    index = np.rint(np.linalg.inv(volume.affine) @ mm).astype(int)[:3]
    assert np.array_equal(volume.voxels[tuple(index)], theirs.array[tuple(corners[:3])])


def test_functional_groups_give_each_frame_its_place(tmp_path):
    """The same head as one multi-frame file is the same volume."""
    volume = read_volume(save(tmp_path / "a", [multi_frame()]) / "0000.dcm")
    assert np.array_equal(volume.voxels, 2 * HEAD - 1000)
    assert np.allclose(volume.affine, AFFINE)
    assert volume.modality == "CT"
