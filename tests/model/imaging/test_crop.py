from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.imaging.crop import crop, elsewhere, slices_of
from model.imaging.prepare import prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box, iou
from tests.model.imaging.phantom import BLOB, CONTRACT, head, slice_of

NATIVE, MODEL = CONTRACT, CONTRACT.model_copy(update={"crop_source": "model"})


@st.composite
def model_boxes(draw: st.DrawFn, shape: tuple[int, int, int] = (64, 64, 32)) -> Box:
    low = [draw(st.integers(0, n - 1)) for n in shape]
    return Box.of((*low, *(draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True))))


@given(model_boxes(), st.sampled_from([NATIVE, MODEL]))
@settings(max_examples=60)
def test_any_box_gives_pictures_of_whole_tokens(box, contract):
    pictures = crop(prepare(head(), contract), box, contract)
    assert len(pictures) == min(box.size[2], contract.crop_slices)
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert max(picture.shape) == contract.crop_side
        assert all(side % contract.factor == 0 and side > 0 for side in picture.shape)


@given(st.integers(0, 30), st.integers(1, 32), st.integers(1, 6))
def test_slices_are_in_the_box_distinct_and_evenly_spread(first, depth, most):
    last = min(first + depth, 32)
    chosen = slices_of(Box.of((0, 0, first, 8, 8, last)), 32, CONTRACT.model_copy(update={"crop_slices": most}))
    assert len(chosen) == min(last - first, most)
    assert all(first <= z < last for z in chosen)
    around = chosen[0] - first, last - 1 - chosen[-1]
    assert abs(around[0] - around[1]) <= 1, "in the middle of the box"
    gaps = np.diff(chosen)
    assert (gaps >= 1).all()
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_a_crop_shows_the_blob():
    prepared = prepare(head(), NATIVE)
    for picture in crop(prepared, prepared.frame.to_model(BLOB), NATIVE)[1:3]:
        assert np.median(picture) == 255
    elsewhere = crop(prepared, Box.of((0, 0, 0, 8, 8, 2)), NATIVE)
    assert all(picture.max() == 0 for picture in elsewhere)


def test_a_native_crop_has_detail_that_model_space_lost():
    """Stripes one voxel wide: flat grey in model space, stripes again when zoomed in from the source."""
    array = np.zeros((256, 256, 1), np.float32)
    array[::2] = 100
    prepared = prepare(Volume(array, np.eye(4), "", False, "image"), NATIVE)
    box = Box.of((36, 36, 48, 48))
    native, model = crop(prepared, box, NATIVE)[0], crop(prepared, box, MODEL)[0]
    assert np.array_equal(native[0], np.tile([255, 0], 16))
    assert np.ptp(model[0]) < 200
    assert native.std() > 2 * model.std()


def test_a_crop_of_everything_is_the_picture_itself():
    image = slice_of(head(), "axial", 12)
    contract = CONTRACT.model_copy(update={"crop_side": 96})
    prepared = prepare(image, contract)
    whole = Box.of((0, 0, 0, *prepared.frame.shape))
    for source in ("native", "model"):
        seen = crop(prepared, whole, contract.model_copy(update={"crop_source": source}))[0]
        assert np.array_equal(seen, prepared.slices[0])


def test_native_and_model_crops_show_the_same_place():
    prepared = prepare(head(), NATIVE)
    box = Box.of((8, 10, 14, 40, 42, 22))
    for native, model in zip(crop(prepared, box, NATIVE), crop(prepared, box, MODEL), strict=True):
        small = native[:16, :16], model[:16, :16]
        assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.9


def test_a_crop_keeps_the_aspect_of_the_body():
    tall = Volume(
        np.random.default_rng(0).random((40, 1, 40)).astype(np.float32), np.diag([1.0, 1, 2, 1]), "MR", True, "coronal"
    )
    prepared = prepare(tall, NATIVE)
    picture = crop(prepared, prepared.frame.to_model(Box.of((4, 0, 4, 36, 1, 36))), NATIVE)[0]
    assert picture.shape == (32, 16)


def test_a_tiny_box_is_shown_with_its_surroundings_and_one_of_four_pixels_is_not():
    array = np.zeros((96, 96, 1), np.float32)
    array[50, 50] = 100
    prepared = prepare(Volume(array, np.eye(4), "", False, "image"), NATIVE)
    dot = crop(prepared, Box.of((50, 50, 51, 51)), NATIVE)[0]
    assert dot.max() > 200
    assert dot[:4].max() == 0, "what lies around it is seen too"


def test_what_surrounds_a_tiny_box_at_the_edge_stays_inside():
    noise = np.random.default_rng(0).random((96, 96, 1)).astype(np.float32)
    prepared = prepare(Volume(noise, np.eye(4), "", False, "image"), NATIVE)
    for tiny, shown in (((95, 95, 96, 96), (92, 92, 96, 96)), ((0, 0, 1, 1), (0, 0, 4, 4))):
        assert np.array_equal(crop(prepared, Box.of(tiny), NATIVE)[0], crop(prepared, Box.of(shown), NATIVE)[0])


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_crops_are_shown_the_way_the_slice_is(plane):
    image = slice_of(head(), plane, 12)
    prepared = prepare(image, NATIVE)
    width, height, _ = prepared.frame.shape
    left = crop(prepared, Box.of((0, 0, width // 2, height)), NATIVE)[0]
    right = crop(prepared, Box.of((width // 2, 0, width, height)), NATIVE)[0]
    halves = prepared.slices[0][:, : width // 2], prepared.slices[0][:, width // 2 :]
    assert (left.mean() > right.mean()) == (halves[0].mean() > halves[1].mean())


def test_crops_do_not_depend_on_the_picture_the_model_saw():
    prepared = prepare(head(), NATIVE)
    box = prepared.frame.to_model(BLOB)
    black = replace(prepared, slices=np.zeros_like(prepared.slices))
    assert all(np.array_equal(a, b) for a, b in zip(crop(prepared, box, NATIVE), crop(black, box, NATIVE), strict=True))


@given(st.integers(0, 24), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_elsewhere_is_as_large_inside_and_off_the_box(at, width, height, seed):
    box = Box.of((at, at, 1, at + width, at + height, 3))
    found = elsewhere(box, (32, 32, 4), np.random.default_rng(seed))
    assert found.size == box.size
    assert found.within((32, 32, 4)) == found
    assert iou(box, found) == 0


def test_a_box_that_fills_the_picture_has_nowhere_else_to_be():
    box = Box.of((0, 0, 32, 32))
    assert elsewhere(box, (32, 32, 1), np.random.default_rng(0)) == box


def test_a_crop_of_elsewhere_is_an_equal_picture_of_another_place_always_the_same():
    other = CONTRACT.model_copy(update={"crop_source": "elsewhere"})
    prepared = prepare(head(), CONTRACT)
    box = prepared.frame.to_model(BLOB)
    asked, moved = crop(prepared, box, CONTRACT), crop(prepared, box, other)
    assert [picture.shape for picture in moved] == [picture.shape for picture in asked]
    assert np.median(asked[1]) == 255
    assert np.median(moved[1]) < 255
    assert all(np.array_equal(a, b) for a, b in zip(moved, crop(prepare(head(), CONTRACT), box, other), strict=True))


@pytest.mark.parametrize("volume", [head(), slice_of(head(), "axial", 9)], ids=["3D", "2D"])
def test_without_crops_a_box_brings_nothing(volume):
    prepared = prepare(volume, CONTRACT)
    box = Box.of((0, 0, 0, 8, 8, prepared.frame.shape[2]))
    assert crop(prepared, box, CONTRACT.model_copy(update={"crop_slices": 0})) == []
