import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.benchmark.reading import chosen, told

SIDES = ("left", "right", "both sides")


@pytest.mark.parametrize(
    "reply",
    [
        *("B", "b", "B.", "(B)", "**B**", "`B`", "right", "Right."),
        *("B. right", "b. right", "B) right", "B right", "**B.** right", "B: the right"),
        *("The answer is B.", "The correct answer is option B", "**Answer:** B. right", "The answer is: b"),
        *("<think>A. left</think>B. right", "It is not the left</think>\n\nB", "<answer>B. right</answer>"),
        *("I looked at the left lung.\n<answer> B </answer>", "It may be A or B.\n\nSo the answer is:\nB"),
        *("B. right\n\nThe heart lies there.", "B. right, where the heart lies", "B. There is A mass"),
    ],
)
def test_a_plain_choice_is_read(reply: str) -> None:
    assert chosen(reply, SIDES) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        *("", "I cannot tell.", "A mass is seen", "on the right", "It is the right side", "D", "Z. right", "e.g. this"),
        *("A or B", "A. or B.", "A. left or B. right", "A. left\nB. right", "B. right, or is it left"),
        *("A. right", "a. right", "The right", "B. right (not A)"),
        *("The answer is A. The answer is B.", "<answer>A</answer><answer>B</answer>", "left, right"),
        *("The answer is not clear", "I can't answer B", "<think>B"),
    ],
)
def test_what_names_none_or_two_is_no_answer(reply: str) -> None:
    assert chosen(reply, SIDES) is None


def test_the_text_of_an_option_goes_before_a_letter_it_seems_to_open_with() -> None:
    """As in markers on a picture, which are letters themselves: "A" is option B, and also option A."""
    germs = ("E. coli", "S. aureus", "C. difficile", "none", "several")
    assert chosen("E. coli", germs) == "A"
    assert chosen("C. difficile", germs) == "C"
    assert chosen("A", ("B", "A")) is None
    assert chosen("A. B", ("B", "A")) == "A"
    assert chosen("mass", ("mass", "Mass.")) is None  # one text twice
    assert chosen("B. left lung", ("lung", "left lung")) == "B"


@given(st.lists(st.text(max_size=8), min_size=2, max_size=5), st.text(max_size=40))
def test_whatever_was_said_the_choice_is_one_that_was_offered(options: list[str], reply: str) -> None:
    assert chosen(reply, options) in (None, *"ABCDE"[: len(options)])


def test_an_open_answer_keeps_its_capital() -> None:
    assert told("<think>B</think>**E. coli**") == "E. coli"
    assert told("The answer is left lung.") == "left lung."
