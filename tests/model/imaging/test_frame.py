import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.imaging.frame import fitted, frame_of
from model.imaging.volume import Volume
from model.interface.boxes import Box
from tests.model.imaging.phantom import CONTRACT, head, slice_of


def affines() -> st.SearchStrategy[np.ndarray]:
    """RAS+ affines, up to 30 degrees oblique."""

    def build(angle: float, spacing: tuple[float, ...], origin: tuple[float, ...]) -> np.ndarray:
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = turn * spacing, origin
        return affine

    pitch, place = st.floats(0.4, 5), st.floats(-100, 100)
    return st.builds(build, st.floats(-0.5, 0.5), st.tuples(pitch, pitch, pitch), st.tuples(place, place, place))


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """3D volumes and single slices of any plane, frame known or not."""
    plane = draw(st.sampled_from(["axial", "coronal", "sagittal", "image"]))
    shape = [draw(st.integers(4, 70)) for _ in range(3)]
    if draw(st.booleans()):
        shape[{"sagittal": 0, "coronal": 1}.get(plane, 2)] = 1
    return Volume(np.broadcast_to(np.float32(0), shape), draw(affines()), "MR", plane != "image", plane)


@st.composite
def volume_and_box(draw: st.DrawFn) -> tuple[Volume, Box]:
    volume = draw(volumes())
    low = [draw(st.integers(0, n - 1)) for n in volume.shape]
    high = [draw(st.integers(a + 1, n)) for a, n in zip(low, volume.shape, strict=True)]
    return volume, Box.of((*low, *high))


@given(volume_and_box())
def test_a_model_box_is_whole_and_inside(case):
    volume, box = case
    frame = frame_of(volume, CONTRACT)
    seen = frame.to_model(box)
    assert all(float(n).is_integer() for n in seen.numbers)
    assert seen.within(frame.shape) == seen


@given(volume_and_box())
def test_a_box_comes_back_within_half_a_step(case):
    volume, box = case
    frame = frame_of(volume, CONTRACT)
    back = frame.to_source(frame.to_model(box))
    step = np.array(frame.source) / frame.as_source(frame.shape)
    # A box thinner than a model pixel is widened to one, so its edges may move by a whole pixel.
    allowed = np.where(np.array(box.size) < step, 1.0, 0.5) * step + 1e-6
    assert (np.abs(np.subtract(back.low, box.low)) <= allowed).all()
    assert (np.abs(np.subtract(back.high, box.high)) <= allowed).all()


@given(volume_and_box())
def test_what_the_model_said_survives_the_way_to_voxels_and_back(case):
    volume, box = case
    frame = frame_of(volume, CONTRACT)
    seen = frame.to_model(box)
    assert frame.to_model(frame.to_source(seen)) == seen


@given(volume_and_box())
def test_mm_and_voxels_agree_within_a_voxel(case):
    volume, box = case
    frame = frame_of(volume, CONTRACT)
    mm = frame.to_mm(frame.to_model(box))
    if not volume.frame_known:
        assert mm is None
        return
    assert mm is not None
    middle = np.linalg.inv(volume.affine) @ [*(np.add(mm[:3], mm[3:]) / 2), 1]
    step = np.array(frame.source) / frame.as_source(frame.shape)
    assert (np.abs(middle[:3] + 0.5 - box.centre) <= np.maximum(step, 1)).all()


def test_mm_are_measured_to_the_faces_of_voxels():
    """Voxel i is centred on its place in mm and reaches half a pitch to either side."""
    frame = frame_of(head(), CONTRACT)
    whole = frame.to_mm(Box.of((0, 0, 0, *frame.shape)))
    assert whole == pytest.approx((-20.75, -15.5, 6, 18.25, 18.5, 42))


@given(volume_and_box(), st.integers(0, 2))
def test_boxes_that_touch_still_touch(case, axis):
    volume, box = case
    assume(box.size[axis] >= 2)
    frame = frame_of(volume, CONTRACT)
    step = np.array(frame.source) / frame.as_source(frame.shape)
    assume(min(box.size[axis] // 2, box.size[axis] - box.size[axis] // 2) >= step[axis])
    cut = box.low[axis] + box.size[axis] // 2
    left, right = list(box.high), list(box.low)
    left[axis] = right[axis] = cut
    a, b = frame.to_model(Box.of((*box.low, *left))), frame.to_model(Box.of((*right, *box.high)))
    overlap = [min(p, q) - max(r, s) for p, q, r, s in zip(a.high, b.high, a.low, b.low, strict=True)]
    assert sorted(overlap)[0] == 0, "half open: no gap and no common pixel"


@given(volumes())
def test_the_whole_is_the_whole(volume):
    frame = frame_of(volume, CONTRACT)
    whole = Box.of((0, 0, 0, *frame.shape))
    assert frame.to_source(whole) == Box.of((0, 0, 0, *frame.source))
    assert frame.to_model(Box.of((0, 0, 0, *frame.source))) == whole


@pytest.mark.parametrize(
    ("plane", "toward", "side"),
    [
        ("axial", (1, 0, 0), "left"),
        ("axial", (0, 1, 0), "top"),
        ("coronal", (1, 0, 0), "left"),
        ("coronal", (0, 0, 1), "top"),
        ("sagittal", (0, 1, 0), "left"),
        ("sagittal", (0, 0, 1), "top"),
    ],
)
def test_radiological_sides(plane, toward, side):
    """The last voxel towards the patient's right, anterior or superior stands at this side of the picture."""
    cut = slice_of(head(), plane, 9)
    low = np.array([(n - 1) * t for n, t in zip(cut.shape, toward, strict=True)])
    seen = frame_of(cut, CONTRACT).to_model(Box.of((*low, *(low + 1))))
    assert seen.low["xy".index("x" if side == "left" else "y")] == 0


def test_slices_ascend_from_inferior_to_superior():
    frame = frame_of(head(), CONTRACT)
    below, above = (frame.to_model(Box.of((0, 0, z, 1, 1, z + 1))) for z in (0, 17))
    assert below.low[2] == 0
    assert above.high[2] == CONTRACT.slices


def test_a_volume_is_shown_axially_in_a_square():
    frame = frame_of(head(), CONTRACT)
    assert frame.shape == (64, 64, 32)
    assert frame.plane == "axial"


def test_an_image_keeps_its_aspect_in_mm():
    cut = Volume(np.zeros((40, 1, 40), np.float32), np.diag([1.0, 1, 2, 1]), "MR", True, "coronal")
    assert frame_of(cut, CONTRACT).shape == (48, 96, 1)


@given(st.floats(0.5, 500), st.floats(0.5, 500), st.sampled_from([(96, 16), (252, 28), (32, 16)]))
def test_sides_are_whole_tokens(width, height, sizes):
    side, factor = sizes
    shape = fitted(width, height, side, factor)
    assert max(shape) == side
    assert min(shape) >= factor
    assert all(n % factor == 0 for n in shape)


def test_no_mm_without_a_spacing():
    known = head()
    guessed = Volume(known.voxels, known.affine, "MR", True, "axial", spacing_known=False)
    box = Box.of((3, 3, 3, 9, 9, 9))
    assert frame_of(known, CONTRACT).to_mm(box) is not None
    assert frame_of(guessed, CONTRACT).to_mm(box) is None
