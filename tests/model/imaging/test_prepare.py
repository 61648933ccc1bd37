from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.imaging.crop import crop
from model.imaging.prepare import blank, prepare, windows_of
from model.imaging.reading.declared import Declared
from model.imaging.reading.read import read_volume
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract
from tests.model.imaging.phantom import (
    AFFINE,
    BLOB,
    CONTRACT,
    ORIENTATIONS,
    SHAPE,
    head,
    region,
    save,
    slice_of,
    voxels,
)


@pytest.fixture(scope="module")
def stored_48_ways(tmp_path_factory):
    """The same head read from files of all 48 axis orders and directions."""
    folder = tmp_path_factory.mktemp("orientations")
    return [
        read_volume(save(folder / f"{i}.nii", voxels(), AFFINE, o), Declared("MR")) for i, o in enumerate(ORIENTATIONS)
    ]


def test_48_orientations_are_one_study(stored_48_ways):
    first = prepare(head(), CONTRACT)
    seen = first.frame.to_model(BLOB)
    mm = np.array(first.frame.to_mm(seen))
    for volume in stored_48_ways:
        prepared = prepare(volume, CONTRACT)
        assert np.array_equal(prepared.slices, first.slices)
        assert prepared.frame.to_model(BLOB) == seen
        assert np.allclose(np.array(prepared.frame.to_mm(seen)), mm, atol=1e-4)


@settings(max_examples=30)
@given(st.sampled_from(range(48)), st.tuples(*(st.integers(1, n - 2) for n in SHAPE)))
def test_a_bright_voxel_is_where_the_frame_says(stored_48_ways, which, at):
    volume = stored_48_ways[which]
    spot = np.zeros(SHAPE, np.float32)
    spot[at] = 1000
    prepared = prepare(replace(volume, voxels=spot), CONTRACT)
    brightest = np.unravel_index(prepared.slices.argmax(), prepared.slices.shape)[::-1]
    seen = prepared.frame.to_model(Box.of((*at, *(n + 1 for n in at))))
    assert all(low - 1 <= n <= high for low, n, high in zip(seen.low, brightest, seen.high, strict=True))


@pytest.mark.parametrize(
    ("plane", "bright", "row_side", "column_side"),
    [
        ("axial", "RA", "top", "left"),
        ("axial", "LP", "bottom", "right"),
        ("coronal", "RS", "top", "left"),
        ("coronal", "LI", "bottom", "right"),
        ("sagittal", "AS", "top", "left"),
        ("sagittal", "PI", "bottom", "right"),
    ],
)
def test_a_bright_corner_is_shown_at_its_radiological_corner(plane, bright, row_side, column_side):
    corner = {"R": (0, -4), "L": (0, 0), "A": (1, -4), "P": (1, 0), "S": (2, -4), "I": (2, 0)}
    array = np.zeros(SHAPE, np.float32)
    cut = [slice(None)] * 3
    for letter in bright:
        axis, start = corner[letter]
        cut[axis] = slice(start, start + 4 or None)
    array[tuple(cut)] = 500
    picture = prepare(slice_of(replace(head(), voxels=array), plane, 9), CONTRACT).slices[0]
    rows, columns = np.nonzero(picture > 128)
    height, width = picture.shape
    assert (rows.mean() < height / 2) == (row_side == "top")
    assert (columns.mean() < width / 2) == (column_side == "left")


def test_las_and_ras_twins_differ_in_bytes_and_not_in_display(tmp_path):
    mirrored = np.array([[0, -1], [1, 1], [2, 1]])
    ras, las = save(tmp_path / "ras.nii", voxels(), AFFINE), save(tmp_path / "las.nii", voxels(), AFFINE, mirrored)
    assert ras.read_bytes()[352:] != las.read_bytes()[352:]
    one, other = (prepare(read_volume(path), CONTRACT).slices for path in (ras, las))
    assert np.array_equal(one, other)


def test_same_bytes_with_a_mirrored_affine_are_shown_mirrored(tmp_path):
    ras = save(tmp_path / "ras.nii", voxels(), AFFINE)
    las = save(tmp_path / "las.nii", voxels(), np.diag([-1.0, 1, 1, 1]) @ AFFINE)
    one, other = (prepare(read_volume(path), CONTRACT).slices for path in (ras, las))
    assert np.array_equal(one, other[:, :, ::-1])


def test_an_image_of_unknown_frame_is_shown_as_stored():
    array = np.zeros((30, 20, 1), np.float32)
    array[:5, :4] = 9
    picture = prepare(Volume(array, np.eye(4), "", False, "image"), CONTRACT).slices[0]
    assert picture.shape == (64, 96)
    assert picture[:8, :8].min() == 255
    assert picture[-8:, -8:].max() == 0


def test_ct_is_windowed_in_hounsfield_units():
    array = np.full((20, 20, 20), -1000, np.float32)
    array[4:16, 4:16] = 30
    array[8:12, 8:12] = 55
    prepared = prepare(Volume(array, np.eye(4), "CT", True, "axial"), CONTRACT)
    assert prepared.windows == ((-5, 85),)
    assert prepared.slices[16, 32, 32] == 170  # (55 + 5) / 90 of 255
    assert prepared.slices[16, 0, 0] == 0


@given(st.floats(0.01, 100))
@settings(max_examples=20)
def test_an_mr_looks_the_same_in_any_unit(scale):
    base = prepare(head(), CONTRACT).slices.astype(int)
    scaled = prepare(replace(head(), voxels=voxels() * np.float32(scale)), CONTRACT).slices.astype(int)
    assert np.abs(base - scaled).max() <= 1


def test_background_does_not_move_the_window():
    """Twice the air around a head changes nothing: percentiles are the foreground's."""
    padded = np.pad(voxels(), ((0, 0), (0, 0), (9, 9)))
    assert np.allclose(windows_of(replace(head(), voxels=padded), CONTRACT), windows_of(head(), CONTRACT), rtol=0.02)


def test_blank_shows_nothing_anywhere():
    nothing = blank(prepare(head(), CONTRACT))
    assert nothing.slices.shape == (32, 64, 64)
    assert nothing.slices.max() == 0
    for source in ("native", "model"):
        contract = CONTRACT.model_copy(update={"crop_source": source})
        pictures = crop(nothing, nothing.frame.to_model(BLOB), contract)
        assert pictures
        assert all(picture.max() == 0 for picture in pictures)


def test_integers_and_floats_look_the_same():
    whole = np.round(voxels())
    as_float, as_int = (
        prepare(replace(head(), voxels=whole.astype(t)), CONTRACT).slices for t in (np.float32, np.int16)
    )
    assert np.array_equal(as_float, as_int)


def test_the_blob_fills_its_box():
    prepared = prepare(head(), CONTRACT)
    inside = np.zeros(prepared.slices.shape[::-1], bool)
    inside[region(prepared.frame.to_model(BLOB))] = True
    bright = prepared.slices.transpose(2, 1, 0) > 134  # halfway between tissue and blob
    assert (bright & inside).sum() / (bright | inside).sum() > 0.8


def photograph() -> Volume:
    rgb = np.zeros((40, 40, 1, 3), np.uint8)
    rgb[:20, :, :, 0], rgb[20:, :, :, 2] = 200, 100
    return Volume(rgb, np.eye(4), "", False, "image")


def test_colours_are_kept_where_the_contract_carries_them():
    prepared = prepare(photograph(), CONTRACT.model_copy(update={"channels": "colour"}))
    assert prepared.slices.shape == (1, 96, 96, 3)
    assert prepared.slices[0, 50, 10].tolist() == [200, 0, 0]
    assert prepared.slices[0, 50, 90].tolist() == [0, 0, 100]
    [close] = crop(prepared, Box.of((0, 0, 40, 40)), CONTRACT)
    assert close.shape == (32, 32, 3)
    assert close[5, 5].tolist() == [200, 0, 0]
    assert crop(prepared, Box.of((0, 0, 40, 40)), CONTRACT.model_copy(update={"crop_source": "model"}))[0].ndim == 3
    assert blank(prepared).slices.max() == 0


def test_colours_are_shown_by_their_luminance_elsewhere_and_said_so():
    prepared = prepare(photograph(), CONTRACT)
    assert prepared.slices.shape == (1, 96, 96)
    assert prepared.slices[0, 50, 10] > prepared.slices[0, 50, 90]
    assert any("colours" in warning for warning in prepared.volume.warnings)


def test_three_windows_of_a_ct_become_channels():
    array = np.full((20, 20, 20), -1000, np.float32)
    array[4:16, 4:16] = 60
    ct = Volume(array, np.eye(4), "CT", True, "axial")
    contract = CONTRACT.model_copy(update={"channels": "windows", "ct_windows": ("brain", "bone", "lung")})
    prepared = prepare(ct, contract)
    assert prepared.slices.shape == (32, 64, 64, 3)
    assert prepared.slices[16, 32, 32].tolist() == [191, 79, 240]  # (60 - low) / width of 255
    assert np.array_equal(prepared.slices[..., 0], prepare(ct, Contract(ct_windows=("brain",))).slices)
    grey = prepare(head(), contract)
    assert grey.slices.shape == (32, 64, 64), "what isn't a CT has one window"


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_block_is_where_it_is_in_any_plane(plane):
    prepared = prepare(head(), CONTRACT.model_copy(update={"plane": plane}))
    assert prepared.frame.plane == plane
    z, y, x = (np.array([axis.min(), axis.max() + 1]) for axis in np.nonzero(prepared.slices == 255))
    found = prepared.frame.to_source(Box.of((x[0], y[0], z[0], x[1], y[1], z[1])))
    assert np.abs(np.array(found.numbers) - BLOB.numbers).max() < 1
    assert prepared.frame.to_mm(prepared.frame.to_model(BLOB)) == pytest.approx(
        prepare(head(), CONTRACT).frame.to_mm(prepare(head(), CONTRACT).frame.to_model(BLOB)), abs=1.5
    )


def test_the_acquired_plane_is_the_one_with_thick_slices():
    thick = replace(head(), affine=np.diag([1.0, 5.0, 1.0, 1.0]))
    contract = CONTRACT.model_copy(update={"plane": "acquired"})
    assert prepare(thick, contract).frame.plane == "coronal"
    assert prepare(replace(head(), affine=np.eye(4)), contract).frame.plane == "axial"


def test_slices_of_nothing_are_left_out_where_the_contract_says_so():
    padded = replace(head(), voxels=np.pad(voxels(), ((0, 0), (0, 0), (20, 40))))
    whole, tight = (prepare(padded, CONTRACT.model_copy(update={"coverage": c})) for c in ("whole", "foreground"))
    assert tight.frame.covered is not None
    first, last = tight.frame.covered
    assert 20 <= first <= 22
    assert 36 <= last <= 38
    assert tight.slices[1].max() > 0
    assert whole.slices[1].max() == 0
    box = Box.of((*BLOB.low[:2], BLOB.low[2] + 20, *BLOB.high[:2], BLOB.high[2] + 20))
    back = tight.frame.to_source(tight.frame.to_model(box))
    assert np.abs(np.array(back.numbers) - box.numbers).max() < 0.6
    assert tight.slices[int(tight.frame.to_model(box).centre[2])].max() == 255
