"""Every answer is worked out again from the masks alone, by another road than the one that made it."""

import re

import numpy as np
import pytest
from scipy import ndimage as ndi

from components.data import locating
from components.data.labels import ID, NAMES
from components.data.scene import Scene
from components.data.view import View, twin
from model.interface.boxes import Box, iou
from model.interface.question import FAMILIES, Question
from tests.components.data.conftest import Asked

WAYS = {"left": (0, -1), "right": (0, 1), "behind": (1, -1), "in front": (1, 1), "below": (2, -1), "above": (2, 1)}
WAYS |= {"back half": (1, -1), "front half": (1, 1), "lower half": (2, -1), "upper half": (2, 1)}
"""An answer -> the axis it speaks of (RAS+) and the sign of going there."""
THIRDS = ("lower third", "middle third", "upper third")


def mask(scene: Scene, name: str) -> np.ndarray:
    lesion = [seen.core for seen in scene.lesions if seen.kind == name]
    return lesion[0] if lesion else scene.labels == ID[name]


def centre_mm(scene: Scene, name: str) -> np.ndarray:
    return (np.argwhere(mask(scene, name)).mean(0) + 0.5) * scene.spacing_mm


def size(scene: Scene, name: str) -> int:
    return int(mask(scene, name).sum())


def tight(found: np.ndarray) -> Box:
    places = np.argwhere(found)
    return Box.of((*places.min(0).tolist(), *(places.max(0) + 1).tolist()))


def right(question: Question) -> str:
    assert question.answer is not None
    return question.options[question.answer]


def every(asked: list[Asked], pattern: str) -> list[tuple[Asked, Question, re.Match[str]]]:
    """Questions worded so. A test that meets none proves nothing."""
    found = [(a, q, m) for a in asked for q in a.questions if (m := re.fullmatch(pattern, q.text))]
    assert found, f"nothing asks: {pattern}"
    return found


def test_all_families_are_asked_about_slices_and_volumes(asked):
    met = {(q.dimension, q.family) for a in asked for q in a.questions}
    assert met == {(dimension, family) for dimension in (2, 3) for family in FAMILIES}
    assert sum(len(a.questions) for a in asked) > 200


def test_options_differ_and_ids_are_unique(asked):
    questions = [q for a in asked for q in a.questions]
    assert all(len(set(q.options)) == len(q.options) for q in questions)
    assert len({q.id for q in questions}) == len(questions)


def test_the_right_option_comes_at_any_place(asked):
    met = {(len(q.options), q.answer) for a in asked for q in a.questions}
    assert met >= {(n, place) for n in (2, 3, 4) for place in range(n)}


def test_remarks_point_at_tight_boxes_of_what_they_name(asked):
    for a in asked:
        for remark in (r for q in a.questions for r in q.rationale if r.box):
            assert remark.box == tight(mask(a.scene, remark.names))


def test_remarks_say_whose_label_it_is(asked):
    kinds = {(a.scene.subject, r.names, r.kind) for a in asked for q in a.questions for r in q.rationale if r.box}
    assert {kind for subject, _, kind in kinds if subject == "cvs_avg35"} == {"own", "lesion"}
    assert all(kind == "propagated" for who, name, kind in kinds if who == "9861" and name.endswith("white matter"))
    assert all(
        kind == "own" for who, name, kind in kinds if who == "9861" and name.endswith("cortex") and "bell" not in name
    )


def test_words_of_side_need_the_patients_sides(asked):
    for q in (q for a in asked for q in a.questions):
        if re.search(r"\b(left|right)\b", " ".join((q.text, *q.options))):
            assert q.laterality, q.text


def test_the_right_box_is_tight_and_the_others_lie_apart(asked):
    for a, q, m in every(asked, r"Which box holds the (.+)\?"):
        box = q.regions[q.options.index(right(q))]
        place = int(right(q).strip("{}"))
        assert q.regions[place] == tight(mask(a.scene, m[1]))
        boxes = [q.regions[int(option.strip("{}"))] for option in q.options]
        assert all(iou(one, other) < 0.3 for k, one in enumerate(boxes) for other in boxes[:k])
        assert box in q.regions


def test_the_right_box_is_as_often_the_outermost_as_the_innermost(asked):
    """Near misses drawn around it alone make it the innermost in half of all questions and more."""
    ranks: dict[int, list[int]] = {3: [], 4: []}
    for k, a in enumerate(asked):
        view = View(a.scene, np.random.default_rng([5, k]))
        for draft in filter(None, (locating.which_box(view) for _ in range(12))):
            if len(draft.regions) > 2:
                boxes = [draft.regions[int(option.strip("{}"))] for option in (draft.right, *draft.wrong)]
                ranks[len(boxes)].append(locating.centrality(boxes))
    for n, met in ranks.items():
        shares = np.bincount(met, minlength=n) / len(met)
        assert len(met) > 200
        assert np.abs(shares - 1 / n).max() < 0.09, (n, shares)


def test_centrality_counts_the_boxes_nearer_to_the_mean_of_all():
    row = [Box.of((x, 0, 0, x + 2, 2, 2)) for x in (0, 10, 20, 90)]
    assert [locating.centrality([row[k], *row[:k], *row[k + 1 :]]) for k in range(4)] == [2, 1, 0, 3]


@pytest.mark.parametrize("pattern", [r"On which side is the (.+)\?", r"In which half is the (.+)\?"])
def test_a_side_or_half_is_10_mm_from_the_middle(asked, pattern):
    for a, q, m in every(asked, pattern):
        axis, sign = WAYS[right(q)]
        middle = a.scene.labels.shape[axis] * a.scene.spacing_mm[axis] / 2
        assert sign * (centre_mm(a.scene, m[1])[axis] - middle) >= 10


def test_a_third_is_4_mm_from_its_borders(asked):
    for a, q, m in every(asked, r"Which third of the slices holds the (.+)\?"):
        height = a.scene.labels.shape[2] * a.scene.spacing_mm[2] / 3
        above = centre_mm(a.scene, m[1])[2] - THIRDS.index(right(q)) * height
        assert 4 <= above <= height - 4


def test_a_host_holds_70_percent_of_the_lesion(asked):
    for a, q, m in every(asked, r"In which structure is the (.+)\?"):
        inside = a.scene.labels[mask(a.scene, m[1])] == ID[right(q)]
        assert inside.mean() > 0.7
        assert all(twin(option) in q.options for option in q.options), "the one with a twin would give itself away"


def test_a_lesion_said_to_be_there_is_seen_and_one_said_not_to_be_isnt_painted(asked):
    answers = set()
    for a, q, m in every(asked, r"Is there an? (.+)\?"):
        answers.add(right(q))
        if right(q) == "Yes":
            assert size(a.scene, m[1]) > 0
        else:
            axis = int(np.argmin(a.scene.labels.shape)) if a.scene.dimension == 2 else None
            painted = [lesion.core | lesion.rim for lesion in a.head.lesions if lesion.kind == m[1]]
            if axis is not None:
                at = int(a.study.id.rsplit("-", 1)[1])
                painted = [np.take(p, [at], axis) for p in painted]
            assert not any(p.any() for p in painted)
    assert answers == {"Yes", "No"}


def test_a_structure_said_to_be_there_is_and_one_said_not_to_be_isnt(asked):
    answers = set()
    for a, q, m in every(asked, r"Is the (.+) seen\?"):
        answers.add(right(q))
        assert (size(a.scene, m[1]) > 0) == (right(q) == "Yes")
    assert answers == {"Yes", "No"}


def test_the_larger_twin_is_larger_by_a_quarter(asked):
    for a, q, m in every(asked, r"Which (?!box|third|is)(.+) is larger\?"):
        other = {"left": "right", "right": "left"}[right(q)]
        assert size(a.scene, f"{right(q)} {m[1]}") >= 1.25 * size(a.scene, f"{other} {m[1]}")


def test_the_larger_of_two_is_larger_by_a_quarter(asked):
    for a, q, m in every(asked, r"Which is larger, the (.+) or the (.+)\?"):
        other = m[2] if right(q) == m[1] else m[1]
        assert size(a.scene, right(q)) >= 1.25 * size(a.scene, other)


def test_what_lies_beyond_lies_10_mm_beyond(asked):
    for a, q, m in every(asked, r"Is the (.+) (?:left or right of|behind or in front of|below or above) the (.+)\?"):
        axis, sign = WAYS[right(q).removesuffix(" of")]
        assert sign * (centre_mm(a.scene, m[1])[axis] - centre_mm(a.scene, m[2])[axis]) >= 10


def test_the_kind_asked_about_is_the_only_one_painted(asked):
    answers = set()
    for a, q, _ in every(asked, r"What kind of lesion is seen\?"):
        assert [seen.kind for seen in a.scene.lesions] == ([] if right(q) == "none" else [right(q)])
        assert not a.scene.hidden
        answers.add(right(q))
    assert "none" in answers and len(answers) > 2


def test_the_number_of_lesions_is_what_one_counts(asked):
    for a, q, m in every(asked, r"Is there one (.+) or several\?"):
        _, n = ndi.label(mask(a.scene, m[1]), np.ones((3, 3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
        assert (n == 1) == (right(q) == "one")


def test_nothing_is_asked_about_a_lesion_that_hides(asked):
    hiding = 0
    for a in asked:
        hiding += len(a.scene.hidden)
        for kind in a.scene.hidden:
            assert not any(kind in " ".join((q.text, right(q))) for q in a.questions)
    assert hiding


def test_every_name_is_known(asked):
    kinds = {lesion.kind for a in asked for lesion in a.head.lesions}
    assert {r.names for a in asked for q in a.questions for r in q.rationale if r.box} <= {*NAMES, *kinds}
