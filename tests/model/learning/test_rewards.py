import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interface import grammar
from model.interface.boxes import Box
from model.interface.question import Question
from model.interface.trace import Flaw, Step, Trace
from model.learning.rewards import advantages, reward

QUESTION = Question("q", "s", "p", "train", 2, "lesion analysis", "What?", ("a mass", "a cyst", "none"), 1)


def trace(text: str, *, flaw: bool = False) -> Trace:
    read = grammar.parse(text)
    boxes = [Step("", box=box, crops=1) for box in read.evidence]
    broken = [Step("", flaw=Flaw("[1,2]", "2 numbers, expected 4 or 6"))] if flaw else []
    return Trace("q", "0", (96, 96, 1), (*boxes, *broken, Step(text)), read, sampled=9)


GOOD = "<think>At <|box_start|>[1,2,9,8]<|box_end|>.</think>B. a cyst"


@pytest.mark.parametrize(
    ("text", "earned"),
    [
        (GOOD, 1.0),
        ("<think>None.</think>B. a cyst", 0.8),  # right without having looked
        ("B. a cyst", 0.8),  # no thought: right, format unpaid
        ("</think>x<think>B. a cyst", 0.0),  # reversed: the answer is not where answers stand
        ("<think>a<think>b</think>B. a cyst", 0.8),  # nested
        ("<think>At <|box_end|>1<|box_start|></think>B. a cyst", 0.8),  # box tags the wrong way round
        ("<think>B. a cyst", 0.0),  # never closed: the letter is part of the thought
        ("<think>x</think>A. a mass", 0.0),  # wrong, however well formed
        ("<think>x</think>A mass is seen; B.", 0.0),  # the article is not option A, nor what follows an answer
        ("<think>x</think>b. a cyst", 0.0),  # lower case
        ("<think>x</think>", 0.0),
        ("", 0.0),
    ],
)
def test_the_reward_table(text: str, earned: float) -> None:
    assert reward(trace(text), QUESTION) == pytest.approx(earned)


def test_a_broken_box_costs_and_a_wrong_answer_never_pays() -> None:
    assert reward(trace(GOOD, flaw=True), QUESTION) == pytest.approx(1.0 - 0.2)
    assert reward(trace("<think>x</think>A. a mass", flaw=True), QUESTION) == pytest.approx(-0.2)


def test_where_the_box_is_earns_nothing() -> None:
    here, there = GOOD, GOOD.replace("[1,2,9,8]", "[70,70,90,90]")
    assert reward(trace(here), QUESTION) == reward(trace(there), QUESTION)
    assert trace(there).answer.evidence == (Box.of((70, 70, 90, 90)),)


@given(st.floats(-1, 1), st.integers(2, 16))
def test_equal_rewards_move_nothing(value: float, size: int) -> None:
    assert advantages([value] * size) == [0.0] * size


@given(st.lists(st.sampled_from([-0.2, 0.0, 0.8, 0.35, 1.0]), min_size=2, max_size=16))
def test_advantages_sum_to_zero_and_keep_the_order(rewards: list[float]) -> None:
    found = advantages(rewards)
    assert sum(found) == pytest.approx(0, abs=1e-12)
    assert sorted(range(len(rewards)), key=rewards.__getitem__) == sorted(range(len(found)), key=found.__getitem__)
