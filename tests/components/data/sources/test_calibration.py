"""A patient whose organs lie where they do, stored in every way without a word about it."""

from dataclasses import replace

import numpy as np
import pytest
from nibabel.orientations import apply_orientation

from components.data.sources.calibration import calibrated
from components.data.sources.case import Labelled, Outline, Sides
from model.imaging.volume import Volume
from model.interface.boxes import Box
from tests.model.imaging.phantom import ORIENTATIONS, region

SHAPE = (40, 30, 36)
ORGANS = {  # (x, y, z) ascend to the patient's right, front and top
    "left kidney": Box.of((6, 8, 12, 12, 14, 18)),
    "right kidney": Box.of((28, 7, 11, 34, 13, 17)),
    "L1 vertebra": Box.of((17, 2, 17, 23, 9, 19)),
    "L3 vertebra": Box.of((17, 2, 11, 23, 9, 15)),
    "pancreas": Box.of((14, 18, 12, 26, 22, 18)),
    "left lung": Box.of((4, 6, 22, 16, 24, 35)),
    "urinary bladder": Box.of((16, 16, 1, 24, 24, 6)),
}
AT = 12
"""A slice through kidneys, pancreas and one vertebra."""


def patient(without: tuple[str, ...] = (), swapped: bool = False) -> Labelled:
    """With its frame, RAS+, 1 mm."""
    voxels = np.random.default_rng(3).integers(0, 200, SHAPE).astype(np.float32)
    outlines = []
    for name, box in ORGANS.items():
        mask = np.zeros(SHAPE, bool)
        mask[region(box)] = True
        mask[tuple(int(n) for n in box.low)] = False
        sides = {"left": "right", "right": "left"} if swapped else {}
        first, _, rest = name.partition(" ")
        outlines.append(Outline.of(f"{sides.get(first, first)} {rest}".strip(), mask))
    kept = tuple(outline for outline in outlines if outline and outline.name not in without)
    return Labelled(Volume(voxels, np.eye(4), "", True, "axial"), kept, "patient", (), frozenset(o.name for o in kept))


def axial_slice(whole: Labelled) -> Labelled:
    voxels = whole.volume.voxels[:, :, AT : AT + 1]
    cut = [Outline.of(o.name, o.mask(SHAPE)[:, :, AT : AT + 1]) for o in whole.outlines]
    return replace(whole, volume=Volume(voxels, np.eye(4), "", True, "axial"), outlines=tuple(filter(None, cut)))


def stored(whole: Labelled, orientation: np.ndarray, sides: Sides = "unknown") -> Labelled:
    """The same with its axes in another order and direction, and nothing said of them."""
    volume = whole.volume
    voxels = np.ascontiguousarray(apply_orientation(volume.voxels, orientation))
    masks = {o.name: apply_orientation(o.mask(volume.shape), orientation) for o in whole.outlines}
    outlines = tuple(filter(None, (Outline.of(name, np.asarray(mask)) for name, mask in masks.items())))
    return replace(whole, volume=Volume(voxels, np.eye(4), "", False, "image"), outlines=outlines, sides=sides)


def same(found: Labelled, wanted: Labelled) -> bool:
    masks = {o.name: o.mask(wanted.volume.shape) for o in wanted.outlines}
    return (
        (found.volume.voxels == wanted.volume.voxels).all()
        and {o.name for o in found.outlines} == set(masks)
        and all((o.mask(found.volume.shape) == masks[o.name]).all() for o in found.outlines)
    )


@pytest.mark.parametrize("k", range(48))
def test_a_volume_is_turned_to_the_patient_however_it_is_stored(k):
    found = calibrated(stored(patient(), ORIENTATIONS[k]))
    assert found.sides == "patient"
    assert found.volume.frame_known
    assert same(found, patient())


@pytest.mark.parametrize("orientation", [o for o in ORIENTATIONS if o[2, 0] == 2 and o[2, 1] == 1])
def test_a_slice_is_turned_to_the_patient_however_it_is_stored(orientation):
    wanted = axial_slice(patient())
    found = calibrated(stored(wanted, orientation), axial=True)
    assert found.sides == "patient"
    assert found.volume.plane == "axial"
    assert same(found, wanted)


def test_evidence_still_goes_back_to_where_it_came_from():
    there = stored(patient(), ORIENTATIONS[29])
    found = calibrated(there)
    for turned, kept in zip(found.outlines, there.outlines, strict=True):
        assert found.volume.in_file.box(turned.box) == kept.box


@pytest.mark.parametrize("missing", ["right kidney", "pancreas", "urinary bladder"])
def test_an_axis_that_nothing_tells_of_leaves_the_sides_unknown(missing):
    without = (missing, *(("L1 vertebra",) if missing == "urinary bladder" else ()))
    without += ("urinary bladder",) if missing == "pancreas" else ()
    before = stored(patient(without), ORIENTATIONS[5])
    found = calibrated(before)
    assert found.sides == "unknown"
    assert found.volume is before.volume


def test_a_picture_that_nobody_calls_axial_is_left_alone():
    picture = stored(axial_slice(patient()), ORIENTATIONS[0], sides="image")
    assert calibrated(picture).sides == "image"


def test_a_coronal_picture_called_axial_is_left_alone():
    """What lies above what tells that up and down are in the picture."""
    whole = patient()
    voxels = whole.volume.voxels[:, 8:9].transpose(0, 2, 1)
    cut = [Outline.of(o.name, np.asarray(o.mask(SHAPE)[:, 2:25].any(1))[:, :, None]) for o in whole.outlines]
    picture = Labelled(
        Volume(np.ascontiguousarray(voxels), np.eye(4), "", False, "image"),
        tuple(filter(None, cut)), "unknown", (), whole.sought,
    )  # fmt: skip
    assert calibrated(picture, axial=True).sides == "unknown"


def test_pairs_that_disagree_leave_the_sides_unknown():
    whole = patient()
    lungs = np.zeros(SHAPE, bool)
    lungs[1:3, 6:24, 22:35] = True  # a right lung on the left of the left one
    wrong = Outline.of("right lung", lungs)
    assert wrong
    told = replace(whole, outlines=(*whole.outlines, wrong), sought=whole.sought | {"right lung"})
    assert calibrated(stored(told, ORIENTATIONS[7])).sides == "unknown"


def test_names_that_contradict_a_known_frame_take_its_sides_away():
    found = calibrated(patient(swapped=True))
    assert found.sides == "unknown"
    assert "1 of 1 paired structures" in found.warnings[-1]
    assert calibrated(patient()).sides == "patient"


def test_chambers_of_the_heart_tell_no_side():
    """The right ventricle lies before the left one as much as beside it."""
    masks = {"left ventricle": (30, 10, 20, 34, 14, 24), "right ventricle": (20, 10, 20, 24, 14, 24)}
    whole = patient()
    chambers = []
    for name, numbers in masks.items():
        mask = np.zeros(SHAPE, bool)
        mask[region(Box.of(numbers))] = True
        chambers.append(Outline.of(name, mask))
    outlines = (*whole.outlines, *filter(None, chambers))
    assert calibrated(replace(whole, outlines=outlines, sought=whole.sought | set(masks))).sides == "patient"


def picture(boxes: dict[str, tuple[int, int, int, int]]) -> Labelled:
    """100 x 100, said to be axial. boxes: name -> (x1, y1, x2, y2)."""
    outlines = []
    for name, (x1, y1, x2, y2) in boxes.items():
        mask = np.zeros((100, 100, 1), bool)
        mask[x1:x2, y1:y2] = True
        outlines.append(Outline.of(name, mask))
    voxels = np.random.default_rng(1).random((100, 100, 1)).astype(np.float32)
    drawn = tuple(filter(None, outlines))
    return Labelled(Volume(voxels, np.eye(4), "", False, "image"), drawn, "unknown", (), frozenset(boxes))


AXIAL = {"left kidney": (20, 30, 30, 40), "right kidney": (70, 30, 80, 40), "pancreas": (40, 60, 60, 70)}


@pytest.mark.parametrize(
    "change",
    [
        {"right kidney": (22, 30, 32, 40)},  # too near to say anything
        {"right kidney": (60, 60, 70, 70), "pancreas": (40, 85, 60, 95)},  # beside and before: along neither axis
        {"pancreas": (40, 31, 60, 41)},
        {"right hip bone": (60, 80, 70, 90), "left lung": (20, 2, 30, 20)},
        {f"L{i} vertebra": (45, 4 * i, 55, 4 * i + 3) for i in range(1, 5)},
    ],
    ids=["near", "oblique", "level", "lung above hip", "four vertebrae"],
)
def test_what_is_in_doubt_leaves_the_sides_unknown(change):
    assert calibrated(picture(AXIAL), axial=True).sides == "patient"
    assert calibrated(picture(AXIAL | change), axial=True).sides == "unknown"
