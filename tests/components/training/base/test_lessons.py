from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.training.base.lessons import Lesson, Teacher
from components.training.examples import answer_of
from model.interface import grammar
from model.interface.boxes import Box, iou
from model.interface.grammar import BOX, THINK_CLOSE, TURN_END, numbers, write_box
from tests.components.training.base.small import CONTRACT, NAMES, corpus


@pytest.fixture(scope="module", params=["volume", "slice"])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Teacher, list[Lesson]]:
    folder: Path = tmp_path_factory.mktemp("corpus")
    scene = corpus(folder).scene(("volume", "slice").index(request.param), CONTRACT)
    teacher = Teacher(scene, NAMES, np.random.default_rng(3))
    return teacher, teacher.lessons(400)


def test_every_box_is_that_of_what_it_is_said_to_be_around(drawn):
    teacher, lessons = drawn
    for lesson in lessons:
        boxes = [grammar.parse_box(inside) for inside in BOX.findall(lesson.answer)]
        assert [write_box(box, flat=teacher.flat) for box in boxes if isinstance(box, Box)] == [
            write_box(teacher.boxes[name], flat=teacher.flat) for name in lesson.named
        ]
        assert lesson.answer.endswith(TURN_END)


def test_the_letter_is_the_right_options(drawn):
    _, lessons = drawn
    chosen = [lesson for lesson in lessons if "\nA. " in lesson.text]
    assert chosen
    for lesson in chosen:
        answer = grammar.parse(lesson.given + lesson.answer)
        assert not answer.flaws
        assert answer.text in lesson.text.splitlines()
        assert answer.text == lesson.line
        assert answer.text[3:] == (lesson.seen or "right lobe")
        assert lesson.given == grammar.THINK_OPEN


def test_a_drill_gives_the_rationale_and_asks_for_the_letter_in_any_order(drawn):
    teacher, _ = drawn
    ((question,),) = teacher.families
    letters, boxes = Counter(), set()
    for lesson in [teacher.letter(question) for _ in range(60)]:
        answer = grammar.parse(lesson.given + lesson.answer)
        assert not answer.flaws
        assert grammar.why_not_usable(answer.evidence[0], teacher.shape) is None
        assert lesson.given.endswith("The right lobe is larger.</think>")
        assert lesson.answer == f"{answer.choice}."
        assert lesson.line == f"{answer.choice}. right lobe"
        assert lesson.line in lesson.text.splitlines()
        letters[answer.choice] += 1
        boxes.add(answer.evidence[0])
        assert iou(answer.evidence[0], teacher.boxes["enhancing mass"]) > 0.1
    assert min(letters["A"], letters["B"]) > 15
    assert len(boxes) > 5  # a little off, each time otherwise


def test_a_conclusion_follows_from_given_boxes(drawn):
    teacher, _ = drawn
    ((question,),) = teacher.families
    assert [kind for kind, _ in teacher.drills()] == [("size comparison", 2, "letter")]
    teacher.families = [[replace(question, family="spatial relationship")]]
    kinds = dict(teacher.drills())
    assert list(kinds) == [("spatial relationship", 2, "letter"), ("spatial relationship", 2, "conclusion")]
    lesson = kinds["spatial relationship", 2, "conclusion"]()
    assert lesson.given.endswith(
        f"The right lobe is at {write_box(teacher.families[0][0].rationale[1].box, flat=teacher.flat)}"
    )
    assert lesson.answer == " The right lobe is larger."
    assert not lesson.line


def test_a_box_among_the_options_is_answered_by_its_letter_but_its_line_is_looked_at(drawn):
    teacher, _ = drawn
    ((question,),) = teacher.families
    mass, lobe = (remark.box for remark in question.rationale[:2])
    turned = replace(question, text="Where is the right lobe?", options=("{0}", "{1}"), regions=(mass, lobe))
    assert answer_of(turned, turned.regions) == ("B", "")
    drills = [teacher.letter(turned) for _ in range(20)]
    assert {drill.line for drill in drills} == {f"{letter}. {numbers(lobe, flat=teacher.flat)}" for letter in "AB"}
    teacher.families = [[turned]]
    lesson = teacher.question()
    assert lesson.answer.endswith(f"{THINK_CLOSE}B.{TURN_END}")
    said = grammar.parse(lesson.given + lesson.answer)
    assert said.choice == "B"
    assert grammar.why_contradictory(said, [numbers(box, flat=teacher.flat) for box in (mass, lobe)]) is None
    teacher.families = [[question]]


def test_only_the_absent_is_denied_and_only_the_seen_affirmed(drawn):
    teacher, lessons = drawn
    asked = [lesson for lesson in lessons if lesson.answer.startswith(("Yes", "No"))]
    assert {lesson.answer[:2] for lesson in asked} == {"Ye", "No"}
    for lesson in asked:
        pool = teacher.boxes if lesson.answer.startswith("Yes") else teacher.absent
        assert any(f"{name} seen" in lesson.text or f" {name}?" in lesson.text for name in pool)


def test_a_lesion_is_asked_about_far_more_often_than_its_share(drawn):
    _, lessons = drawn
    located = [
        lesson.named[0] for lesson in lessons if lesson.answer.startswith(grammar.BOX_OPEN) and len(lesson.named) == 1
    ]
    assert located.count("enhancing mass") > 0.45 * len(located)


def test_all_kinds_of_lesson_come_up(drawn):
    _, lessons = drawn
    assert any(len(lesson.named) == 2 for lesson in lessons)  # a question of the six families
    assert any(lesson.text.startswith("What is at [") for lesson in lessons)
    assert any(lesson.text.startswith(("Where", "Locate")) for lesson in lessons)
