from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interface import grammar
from model.interface.boxes import Box
from model.interface.question import Question
from model.interface.trace import Answer, Flaw, Step, Trace
from model.learning import rewards
from model.learning.rewards import REWARDS, Name, advantages, ours, ours_iou, paper

QUESTION = Question("q", "s", "p", "train", 2, "lesion analysis", "What?", ("a mass", "a cyst", "none"), 1)
OPEN = replace(QUESTION, options=(), answer=None, reply="a cyst")
HERE, THERE = Box.of((1, 2, 9, 8)), Box.of((70, 70, 90, 90))


def trace(text: str, *, flaw: bool = False) -> Trace:
    """As a rollout would have left it: each readable box answered by a crop."""
    read = grammar.parse(text)
    steps, left = [], text
    for box in read.evidence:
        said, tag, left = left.partition(grammar.BOX_CLOSE)
        steps.append(Step(said + tag, box=box, crops=1))
    broken = Flaw("[1,2]", "2 numbers, expected 4 or 6")
    steps += [Step("", flaw=broken)] if flaw else []
    met = (broken,) if flaw else ()
    against = grammar.why_contradictory(read, QUESTION.options)
    met += (against,) if against else ()
    answer = Answer(read.choice, read.text, read.evidence, read.flaws + met)
    return Trace("q", "0", (96, 96, 1), (*steps, Step(left)), answer, sampled=9)


def test_a_question_can_be_judged_where_its_letter_or_its_reply_is_known() -> None:
    assert rewards.has_truth(QUESTION)
    assert rewards.has_truth(OPEN)
    assert not rewards.has_truth(replace(QUESTION, answer=None))
    assert not rewards.has_truth(replace(OPEN, reply=""))


AT = "<think>At <|box_start|>[1,2,9,8]<|box_end|>.</think>"
GOOD = f"{AT}B. a cyst"


@pytest.mark.parametrize(
    ("text", "by_ours", "by_paper"),
    [
        (GOOD, 1.0, 1.0),
        ("<think>None.</think>B. a cyst", 0.8, 0.9),  # right without having looked: no box is no good box
        ("B. a cyst", 0.8, 0.8),  # neither thought nor box: format is 0, not "0 = 0"
        ("</think>x<think>B. a cyst", 0.0, 0.0),  # reversed: the answer is not where answers stand
        (f"{AT[7:]}<think>B. a cyst", 0.0, 0.1),  # reversed around a good box
        ("<think>a<think>b</think>B. a cyst", 0.8, 0.8),  # nested
        ("<think>At <|box_end|>1<|box_start|></think>B. a cyst", 0.8, 0.9),  # box tags the wrong way round
        ("<think>At <|box_start|>[1,2,9,8]</think>B. a cyst", 0.8, 0.9),  # unbalanced box
        ("<think>At <|box_start|><|box_start|>[1,2,9,8]<|box_end|></think>B. a cyst", 0.8, 0.9),  # nested box
        ("<think>At <|box_start|>[1,2]<|box_end|></think>B. a cyst", 0.8, 0.9),  # no box by its numbers
        ("<think>B. a cyst", 0.0, 0.0),  # unbalanced, never closed: the letter is part of the thought
        (f"{AT}A. a mass", 0.0, 0.2),  # wrong, however well formed: only the paper pays it
        (f"{AT}A mass is seen; B.", 0.0, 0.2),  # the article is not option A, nor is what follows an answer
        (f"{AT}A mass", 0.0, 0.2),
        (f"{AT}b. a cyst", 0.0, 0.2),  # lower case
        (f"{AT}A, B or C", 0.0, 0.2),  # several letters
        (f"{AT}AB", 0.0, 0.2),
        (f"{AT}", 0.0, 0.2),
        ("<think>x</think>", 0.0, 0.1),
        ("", 0.0, 0.0),
        (f"{AT}B. a mass", 0.8, 1.0),  # letter and words of two options
        (f"{AT}B", 1.0, 1.0),
        (f"{GOOD}<|im_end|>", 1.0, 1.0),  # specials are kept, and read
        ("At [1,2,9,8].B. a cyst", 0.0, 0.0),  # the good answer with its specials stripped
    ],
)
def test_the_reward_table(text: str, by_ours: float, by_paper: float) -> None:
    assert ours(trace(text), QUESTION) == pytest.approx(by_ours)
    assert paper(trace(text), QUESTION) == pytest.approx(by_paper)
    assert ours_iou(trace(text), QUESTION) == pytest.approx(by_ours)  # nobody knows the boxes


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (f"{AT}a cyst", 1.0),
        (f"{AT}The cyst.", 1.0),
        (f"{AT}a large cyst", 2 / 3),
        (f"{AT}a mass", 0.0),
        (f"{AT}", 0.0),
        ("a cyst", 1.0),
        (f"{AT}yes", 0.0),
        ("<think>a cyst", 0.0),  # never closed: the words are part of the thought
        ("</think>a cyst<think>", 0.0),
    ],
)
def test_an_open_answer_is_paid_by_its_words(text: str, right: float) -> None:
    told, well = trace(text), text.startswith(AT)
    assert rewards.right(told, OPEN) == pytest.approx(right)
    assert ours(told, OPEN) == pytest.approx(right * (1.0 if well else 0.8))
    assert paper(told, OPEN) == pytest.approx(0.8 * right + 0.2 * well)


@pytest.mark.parametrize(("said", "right"), [("Yes.", 1), ("yes and no", 0), ("yes, a cyst", 0), ("no", 0), ("", 0)])
def test_a_yes_stands_alone(said: str, right: float) -> None:
    assert rewards.right(trace(AT + said), replace(OPEN, reply="yes")) == right


def test_a_broken_box_costs_and_a_wrong_answer_never_pays() -> None:
    assert ours(trace(GOOD, flaw=True), QUESTION) == pytest.approx(0.8 - 0.2)
    assert ours(trace(f"{AT}A. a mass", flaw=True), QUESTION) == pytest.approx(-0.2)
    assert paper(trace(GOOD, flaw=True), QUESTION) == pytest.approx(0.9)


@pytest.mark.parametrize("name", ["paper", "ours"])
def test_where_the_box_is_earns_nothing(name: Name) -> None:
    there = GOOD.replace("[1,2,9,8]", "[70,70,90,90]")
    assert trace(there).answer.evidence == (THERE,)
    assert REWARDS[name](trace(GOOD), QUESTION, [HERE]) == REWARDS[name](trace(there), QUESTION, [HERE])


@pytest.mark.parametrize(
    ("boxes", "truths", "share"),
    [
        (["1,2,9,8"], [HERE], 1.0),
        (["70,70,90,90"], [HERE], 0.0),
        (["1,2,9,8", "70,70,90,90"], [THERE, HERE], 1.0),  # whatever the order
        (["1,2,9,8", "1,2,9,8"], [HERE, THERE], 0.5),  # said twice is met once
        (["1,2,9,8", "70,70,90,90"], [HERE], 0.5),  # a box too many
        (["1,2,9,8"], [HERE, THERE], 0.5),  # one too few
        (["1,2,9,5"], [HERE], 0.5),
        ([], [HERE], 0.0),
        (["1,2,9,8"], [], 0.0),
    ],
)
def test_the_ablation_pays_boxes_by_where_they_are(boxes: Sequence[str], truths: list[Box], share: float) -> None:
    said = "".join(f"<|box_start|>[{box}]<|box_end|>" for box in boxes)
    told = trace(f"<think>{said}</think>A. a mass")
    assert ours_iou(told, QUESTION, truths) == pytest.approx(0.2 * share)


@given(st.floats(-1, 1), st.integers(2, 16), st.booleans())
def test_equal_rewards_move_nothing(value: float, size: int, divided: bool) -> None:
    assert advantages([value] * size, divided=divided) == [0.0] * size


@given(st.lists(st.sampled_from([-0.2, 0.0, 0.8, 0.35, 1.0]), min_size=2, max_size=16), st.booleans())
def test_advantages_sum_to_zero_and_keep_the_order(earned: list[float], divided: bool) -> None:
    found = advantages(earned, divided=divided)
    assert sum(found) == pytest.approx(0, abs=1e-12)
    assert sorted(range(len(earned)), key=earned.__getitem__) == sorted(range(len(found)), key=found.__getitem__)


def test_divided_advantages_have_the_groups_own_spread_for_a_unit() -> None:
    assert advantages([1.0, 0.0, 0.0, 1.0], divided=True) == [1.0, -1.0, -1.0, 1.0]
    assert advantages([0.8, 1.0], divided=True) == [pytest.approx(-1), pytest.approx(1)]


def test_a_residue_of_rounding_is_no_advantage_of_thousands() -> None:
    assert max(map(abs, advantages([0.35, 0.35 + 1.6e-4], divided=True))) < 0.01
