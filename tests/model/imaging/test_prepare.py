from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.imaging.crop import crop
from model.imaging.prepare import blank, prepare, window_of
from model.imaging.read import read_volume
from model.imaging.volume import Volume
from model.interface.boxes import Box
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
        read_volume(save(folder / f"{i}.nii", voxels(), AFFINE, o), modality="MR") for i, o in enumerate(ORIENTATIONS)
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
    assert prepared.window == (-5, 85)
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
    assert np.allclose(window_of(replace(head(), voxels=padded), CONTRACT), window_of(head(), CONTRACT), rtol=0.02)


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
