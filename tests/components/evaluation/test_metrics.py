import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation.metrics import METRICS, kind_of, score
from components.evaluation.run import right
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.question import Remark
from tests.components.evaluation.made import SIZE, frame, question, trace

BOX = Box.of((4, 6, 2, 14, 20, 9))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    edges = [sorted(draw(st.sets(st.integers(0, n), min_size=2, max_size=2))) for n in SIZE]
    return Box.of((*(low for low, _ in edges), *(high for _, high in edges)))


@given(st.lists(boxes(), min_size=1, max_size=4))
def test_pointing_where_the_rationale_points_is_perfect(targets: list[Box]) -> None:
    drawn = [frame().to_model(box) for box in targets]
    counts = score(question(*targets), frame(), trace(*drawn), "head").counts
    assert set(counts) == set(METRICS)
    for name in ("box_iou", "localisation_iou", "z_overlap"):
        assert counts[name] == pytest.approx((len(targets), len(targets)))
    assert counts["centre_error_mm"] == pytest.approx((0, len(targets)))
    assert counts["accuracy"] == (1, 1)


@given(st.lists(boxes(), min_size=1, max_size=4), st.integers(0, 4))
def test_a_box_not_drawn_counts_as_nothing_found(targets: list[Box], kept: int) -> None:
    drawn = [frame().to_model(box) for box in targets][:kept]
    counts = score(question(*targets), frame(), trace(*drawn), "head").counts
    assert counts["box_iou"] == pytest.approx((len(drawn), len(targets)))
    assert counts["z_overlap"][1] == len(targets)
    assert counts["centre_error_mm"][1] == len(drawn)


def test_boxes_are_matched_in_order() -> None:
    first, second = BOX, Box.of((20, 20, 10, 30, 30, 15))
    swapped = trace(frame().to_model(second), frame().to_model(first))
    assert score(question(first, second), frame(), swapped, "head").counts["box_iou"] == (0, 2)


def test_a_further_box_costs_nothing_but_is_counted() -> None:
    drawn = frame().to_model(BOX)
    counts = score(question(BOX), frame(), trace(drawn, Box.of((0, 0, 0, 9, 9, 9))), "head").counts
    assert counts["box_iou"] == (1, 1)
    assert counts["boxes"] == (2, 1)


@pytest.mark.parametrize(("shift", "mm"), [((2, 0, 0), 2.0), ((0, 2, 0), 2.0), ((0, 0, 1), 3.0), ((6, 0, 0), 6.0)])
def test_centre_error_is_in_mm(shift: tuple[int, int, int], mm: float) -> None:
    """Two pixels across are one voxel of 2 mm; a slice is 3 mm."""
    here = frame().to_model(BOX)
    there = Box.of([n + shift[i % 3] for i, n in enumerate(here.numbers)])
    assert score(question(BOX), frame(), trace(there), "head").counts["centre_error_mm"] == pytest.approx((mm, 1))


def test_an_image_has_no_slice_range() -> None:
    box = Box.of((4, 6, 14, 20))
    asked = question(box, dimension=2)
    counts = score(asked, frame(2), trace(frame(2).to_model(box), flat=True), "head").counts
    assert counts["z_overlap"] == (0, 0)
    assert counts["box_iou"] == (1, 1)


def test_a_question_without_a_known_truth_is_not_counted() -> None:
    assert score(question(answer=None), frame(), trace(), "head").counts["accuracy"] == (0, 0)


@pytest.mark.parametrize(("letter", "right", "answered"), [("B", 1, 1), ("A", 0, 1), ("I think", 0, 0)])
def test_only_the_right_letter_is_right(letter: str, right: int, answered: int) -> None:
    counts = score(question(), frame(), trace(letter=letter), "head").counts
    assert (counts["accuracy"][0], counts["answered"][0], counts["valid_format"][0]) == (right, answered, answered)


@pytest.mark.parametrize(
    ("fine", "letter", "counted"), [(True, "B", (1, 1)), (True, "A", (0, 1)), (False, "B", (0, 0))]
)
def test_what_only_a_crop_shows_is_counted_apart(fine: bool, letter: str, counted: tuple[int, int]) -> None:
    counts = score(replace(question(), fine=fine), frame(), trace(letter=letter), "head").counts
    assert counts["fine_accuracy"] == counted


def test_localisation_is_the_boxes_of_two_families_and_a_lesion_counts_in_any() -> None:
    lesion, host = Remark("It is at", BOX, "lesion", "lesion"), Remark("in", BOX, "left thalamus", "own")
    asked = question(rationale=(lesion, host), family="lesion analysis")
    counts = score(asked, frame(), trace(frame().to_model(BOX)), "head").counts
    assert (counts["localisation_iou"], counts["lesion_iou"], counts["box_iou"]) == ((0, 0), (1, 1), (1, 2))
    located = question(rationale=(lesion, host), family="spatial localisation")
    counts = score(located, frame(), trace(frame().to_model(BOX)), "head").counts
    assert (counts["localisation_iou"], counts["lesion_iou"]) == ((1, 2), (1, 1))


def test_the_least_certain_label_names_the_question() -> None:
    remarks = {kind: Remark("at", BOX, kind, kind) for kind in ("own", "propagated", "lesion")}
    assert kind_of(question(rationale=(remarks["own"], remarks["lesion"]))) == "lesion"
    assert kind_of(question(rationale=(remarks["own"], remarks["propagated"]))) == "propagated"
    assert kind_of(question(rationale=(remarks["own"],))) == "own"
    assert kind_of(question()) == "none"


def test_crops_are_tool_use() -> None:
    drawn = frame().to_model(BOX)
    assert score(question(BOX), frame(), trace(drawn, drawn, crops=3), "head").counts["crops"] == (6, 1)
    assert score(question(BOX), frame(), trace(), "head").counts["tool_rate"] == (0, 1)


def test_hits_are_boxes_that_overlap_enough() -> None:
    target = frame().to_model(BOX)
    half = Box(target.low, (target.low[0] + (target.high[0] - target.low[0]) / 2, *target.high[1:]))
    counts = score(question(BOX, BOX, BOX), frame(), trace(target, half), "head").counts
    assert (counts["hit_25"], counts["hit_50"]) == ((2, 3), (2, 3))  # an IoU of exactly one half is a hit
    third = Box(target.low, (target.low[0] + (target.high[0] - target.low[0]) / 3, *target.high[1:]))
    counts = score(question(BOX), frame(), trace(third), "head").counts
    assert (counts["hit_25"], counts["hit_50"]) == ((1, 1), (0, 1))


def test_the_side_is_that_of_the_target_off_the_middle() -> None:
    """x ascends to the patient's right; the field is 32 voxels wide."""
    left, right, middle = (Box.of((x, 6, 2, x + 4, 20, 9)) for x in (2, 26, 14))
    seen = {name: frame().to_model(box) for name, box in (("left", left), ("right", right), ("middle", middle))}
    side = {
        name: score(question(left), frame(), trace(box), "head").counts["side_correct"] for name, box in seen.items()
    }
    assert side == {"left": (1, 1), "right": (0, 1), "middle": (0, 1)}
    assert score(question(left), frame(), trace(), "head").counts["side_correct"] == (0, 1)  # not drawn
    assert score(question(middle), frame(), trace(seen["left"]), "head").counts["side_correct"] == (0, 0)
    beside = Box.of((13, 6, 2, 17, 20, 9))  # its centre is 1 of 32 voxels off the middle
    assert score(question(beside), frame(), trace(seen["left"]), "head").counts["side_correct"] == (0, 0)


def test_what_a_question_belongs_to() -> None:
    lesion = Remark("It is at", Box.of((4, 6, 2, 9, 11, 5)), "infarct", "lesion")  # 10 x 10 x 9 mm
    structure = Remark("It is at", BOX, "left thalamus", "own")
    slices = score(question(rationale=(structure, lesion)), frame(), trace(), "head", modality="MR").slices
    assert (slices["anatomy"], slices["lesion_size"], slices["modality"]) == ("thalamus", "under 15 mm", "MR")
    assert (slices["training"], slices["subject"]) == ("unknown", "p")
    flat = Remark("It is at", Box.of((0, 0, 16, 16)), "infarct", "lesion")  # 32 x 32 mm, however thin the slice
    asked = question(rationale=(flat,), dimension=2)
    slices = score(asked, frame(2), trace(flat=True), "head", trained=False).slices
    assert (slices["lesion_size"], slices["training"]) == ("30 mm and more", "out")
    assert score(question(), frame(), trace(), "head").slices["lesion_size"] == "no lesion"


def test_an_open_answer_is_marked_by_its_words() -> None:
    asked = question(options=(), answer=None, reply="The left thalamus")
    said = replace(trace(), answer=grammar.parse("<think></think>left thalamus, mostly"))
    counts = score(asked, frame(), said, "head").counts
    assert counts["open_exact"] == (0, 1)
    assert counts["open_f1"] == pytest.approx((0.8, 1))
    assert (counts["answered"], counts["accuracy"], counts["brier"]) == ((1, 1), (0, 0), (0, 0))
    silent = replace(trace(), answer=grammar.parse("<think></think>"))
    assert score(asked, frame(), silent, "head").counts["answered"] == (0, 1)


@pytest.mark.parametrize("words", ["E. coli", "B", "I. think"])
def test_a_capital_that_opens_an_open_answer_is_no_letter(words: str) -> None:
    asked = question(options=(), answer=None, reply=words)
    said = replace(trace(), answer=grammar.parse(f"<think></think>{words}"))
    counts = score(asked, frame(), said, "head").counts
    assert (counts["open_exact"], counts["open_f1"], counts["answered"]) == ((1, 1), (1, 1), (1, 1))
    assert right(asked, said) is True


def test_an_open_answer_needs_no_letter_to_be_well_formed() -> None:
    asked = question(options=(), answer=None, reply="left thalamus")
    for words, valid in (("left thalamus", 1), ("", 0), ("<|box_start|>[1]<|box_end|>", 0)):
        said = replace(trace(), answer=grammar.parse(f"<think></think>{words}"))
        assert score(asked, frame(), said, "head").counts["valid_format"] == (valid, 1)
        assert score(question(), frame(), said, "head").counts["valid_format"] == (0, 1)


def test_a_reply_that_speaks_of_regions_is_not_marked() -> None:
    asked = question(options=(), answer=None, reply="at {0}", regions=(BOX,))
    counts = score(asked, frame(), trace(), "head").counts
    assert (counts["open_exact"], counts["open_f1"]) == ((0, 0), (0, 0))


def test_the_sampled_answer_is_marked_by_its_own_letter() -> None:
    counts = score(question(), frame(), trace(), "head", sampled=trace(letter="A")).counts
    assert (counts["accuracy"], counts["sampled_accuracy"]) == ((1, 1), (0, 1))
    assert score(question(), frame(), trace(), "head").counts["sampled_accuracy"] == (0, 0)


def test_who_abstains_is_not_wrong_among_the_answered() -> None:
    silent = replace(trace(), answer=grammar.parse("<think></think>"))
    counts = score(question(), frame(), silent, "head").counts
    assert (counts["accuracy"], counts["answered"], counts["accuracy_answered"]) == ((0, 1), (0, 1), (0, 0))


def test_brier_is_of_the_tokens_mean_probability() -> None:
    sure = replace(trace(letter="A"), mean_logprob=math.log(0.75))  # wrong
    assert score(question(), frame(), sure, "head").counts["brier"] == pytest.approx((0.5625, 1))
    for unsure in (replace(sure, mean_logprob=math.nan), replace(sure, sampled=0)):
        scored = score(question(), frame(), unsure, "head")
        assert (scored.counts["brier"], scored.confidence, scored.counts["accuracy"]) == ((0, 0), None, (0, 1))


def test_flaws_and_length_are_counted() -> None:
    counts = score(question(), frame(), trace(letter="I think"), "head").counts
    assert (counts["flaws"], counts["length"]) == ((0, 1), (9, 1))
    broken = replace(trace(), answer=grammar.parse("<think><|box_start|>[1]<|box_end|></think>B."))
    assert score(question(), frame(), broken, "head").counts["flaws"] == (1, 1)
