"""Each intervention changes what it is about and nothing else."""

import numpy as np
import pytest

from components.evaluation import interventions
from components.evaluation.interventions import (
    exchanged,
    greyed,
    mirrored,
    off_evidence,
    other_side,
    permuted,
    reshown,
    unseen,
)  # fmt: skip
from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box, iou
from model.interface.contract import Contract
from tests.components.evaluation.made import question

CONTRACT = Contract(image_side=32, volume_side=32, slices=4, crop_side=16, crop_slices=2)
BLOB = Box.of((3, 6, 2, 8, 12, 6))


def volume(shape: tuple[int, int, int] = (20, 20, 8), seed: int = 0, *, known: bool = True) -> Volume:
    voxels = np.random.default_rng(seed).uniform(50, 100, shape).astype(np.float32)
    if shape[2] > 1:
        voxels[3:8, 6:12, 2:6] = 200
    plane = "image" if not known else "sagittal" if shape[0] == 1 else "axial"
    return Volume(voxels, np.diag([2.0, 2.0, 4.0, 1.0]), "MR", known, plane)


@pytest.fixture
def study() -> Prepared:
    return prepare(volume(), CONTRACT)


def test_the_same_voxels_are_shown_the_same(study: Prepared) -> None:
    assert np.array_equal(reshown(study, study.volume).slices, study.slices)


def test_a_mirror_turns_the_picture_over_and_keeps_frame_and_window(study: Prepared) -> None:
    turned = mirrored(study)
    assert turned is not None
    assert np.array_equal(turned.slices, study.slices[:, :, ::-1])
    assert (turned.frame, turned.windows, turned.contract) == (study.frame, study.windows, study.contract)
    assert mirrored(prepare(volume((1, 20, 20)), CONTRACT)) is None  # a sagittal slice has one side
    assert mirrored(prepare(volume((20, 20, 1), known=False), CONTRACT)) is None


def test_grey_lies_where_it_was_put_and_nowhere_else(study: Prepared) -> None:
    masked = greyed(study, [BLOB])
    changed = masked.volume.voxels != study.volume.voxels
    assert changed[3:8, 6:12, 2:6].all()
    assert changed.sum() == 5 * 6 * 4
    box = study.frame.to_model(BLOB)
    (x1, y1, z1), (x2, y2, z2) = (tuple(map(int, corner)) for corner in (box.low, box.high))
    inside = masked.slices[z1:z2, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
    assert np.abs(inside.astype(int) - 128).max() <= 1  # the middle of the window
    assert study.volume.voxels.max() == 200  # the original is as it was


def test_a_mask_elsewhere_is_as_large_and_meets_no_evidence(study: Prepared) -> None:
    boxes = [BLOB, Box.of((12, 2, 0, 15, 6, 3))]
    places = off_evidence(study, boxes, np.random.default_rng(0))
    assert places is not None
    assert [place.size for place in places] == [box.size for box in boxes]
    assert not any(iou(place, box) for place in places for box in boxes)
    everything = Box.of((0, 0, 0, 20, 20, 7))
    assert off_evidence(study, [everything], np.random.default_rng(0)) is None


def test_a_mask_elsewhere_seeks_the_body() -> None:
    half = volume()
    half.voxels[:, 14:] = 0
    study = prepare(half, CONTRACT)
    for seed in range(5):
        (place,) = off_evidence(study, [BLOB], np.random.default_rng(seed)) or []
        assert place.high[1] <= 14


def test_another_heads_picture_comes_in_the_studys_own_frame() -> None:
    first, second = (prepare(volume(seed=seed), CONTRACT) for seed in (0, 1))
    alone = prepare(volume((20, 20, 1), 2), CONTRACT)
    found = exchanged([first, first, second, alone], ["a", "a", "b", "c"], np.random.default_rng(0))
    assert found[0] is found[1]
    assert found[0] is not None
    assert np.array_equal(found[0].slices, second.slices)
    assert found[0].frame == first.frame
    assert found[3] is None
    same_head = exchanged([first, second], ["a", "a"], np.random.default_rng(0))
    assert same_head == [None, None]


def test_text_alone_has_no_picture_and_black_crops(study: Prepared) -> None:
    nothing = unseen(study)
    assert len(nothing.slices) == 0
    assert nothing.dimension == 3
    assert len(np.unique(nothing.volume.voxels)) == 1


def test_options_come_in_another_order_with_the_truth_among_them() -> None:
    asked = question(options=("a", "b", "c"), answer=2)
    for seed in range(20):
        found = permuted(asked, np.random.default_rng(seed))
        assert found is not None
        again, order = found
        assert again.options != asked.options
        assert again.answer is not None and again.options[again.answer] == "c"
        assert [asked.options[k] for k in order] == list(again.options)
    assert permuted(question(options=(), answer=None), np.random.default_rng(0)) is None


@pytest.mark.parametrize(
    ("text", "options", "answer", "other"),
    [
        ("On which side is the infarct?", ("right", "left"), 0, 1),
        ("Is the mass left or right of the brainstem?", ("left", "right"), 1, 0),
        ("In which structure is it?", ("left putamen", "left caudate", "right putamen"), 0, 2),
        ("Is the mass left or right of the left thalamus?", ("left", "right"), 1, None),  # another place in a mirror
        ("Is the left thalamus seen?", ("Yes", "No"), 0, None),
        ("Is there an infarct?", ("Yes", "No"), 0, None),
        ("In which structure is it?", ("left putamen", "brainstem"), 0, None),  # its other side isn't offered
    ],
)
def test_what_is_right_in_a_mirror(text: str, options: tuple[str, ...], answer: int, other: int | None) -> None:
    assert other_side(question(text=text, options=options, answer=answer)) == other
    assert other_side(question(text=text, options=options, answer=answer, regions=(BLOB,))) is None


def test_evidence_is_what_the_rationale_points_at() -> None:
    assert interventions.evidence(question(BLOB)) == [BLOB]
