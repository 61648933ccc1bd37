from dataclasses import replace
from pathlib import Path

from components.evaluation.traces import Answered, examples, read, write
from model.interface.boxes import Box
from tests.components.evaluation.made import trace

BOX = Box.of((4, 6, 2, 14, 20, 9))
ANSWERS = [
    Answered("rl", "test", blank, correct, replace(trace(BOX), question_id=f"q{i}"))
    for i, (blank, correct) in enumerate([(False, True), (False, False), (True, False), (False, True), (False, None)])
]


def test_answers_survive_a_round_trip(tmp_path: Path) -> None:
    write(tmp_path / "t.jsonl.gz", ANSWERS)
    assert list(read(tmp_path / "t.jsonl.gz")) == ANSWERS


def test_how_long_it_took_does_not_change_the_bytes(tmp_path: Path) -> None:
    slower = [replace(answer, trace=replace(answer.trace, seconds=3.5)) for answer in ANSWERS]
    write(tmp_path / "a.gz", ANSWERS)
    write(tmp_path / "b.gz", slower)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_examples_are_the_first_right_and_wrong_that_were_looked_at() -> None:
    assert [a.trace.question_id for a in examples(ANSWERS, "rl", each=1)] == ["q0", "q1"]
    assert [a.trace.question_id for a in examples(ANSWERS, "rl", each=2)] == ["q0", "q3", "q1"]
    assert examples(ANSWERS, "sft") == []
