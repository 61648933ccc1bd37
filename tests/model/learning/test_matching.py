import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.learning.matching import exact_match, token_f1, token_recall, words


@pytest.mark.parametrize(
    ("said", "truth", "exact", "f1"),
    [
        ("The left lung.", "left lung", 1, 1),
        ("LEFT  LUNG", "Left lung", 1, 1),
        ("lung, left", "left lung", 0, 1),  # the same words: close, but not what was said
        ("left lung", "right lung", 0, 1 / 2),
        ("a mass in the left lung", "mass", 0, 2 / 5),
        ("3.5 cm", "3.5 cm", 1, 1),
        ("35 cm", "3.5 cm", 0, 1 / 2),  # a number is a word, point and all
        ("ﬁbrosis", "fibrosis", 1, 1),  # a ligature is two letters
        ("Yes.", "yes", 1, 1),
        ("yes and no", "yes", 0, 0),  # hedging isn't half right
        ("yes", "yes, a mass", 0, 0),
        ("", "left lung", 0, 0),
        ("the", "a", 0, 0),  # nothing is said
        ("", "", 0, 0),
    ],
)
def test_the_matching_table(said: str, truth: str, exact: float, f1: float) -> None:
    assert exact_match(said, truth) == exact
    assert token_f1(said, truth) == pytest.approx(f1)


@given(st.text(max_size=40), st.text(max_size=40))
def test_f1_is_symmetric_within_bounds_and_whole_for_what_is_exact(said: str, truth: str) -> None:
    assert 0 <= token_f1(said, truth) <= 1
    assert token_f1(said, truth) == token_f1(truth, said)
    assert token_f1(said, truth) >= exact_match(said, truth)
    assert exact_match(said, said) == bool(words(said))


@pytest.mark.parametrize(
    ("said", "truth", "recall"),
    [("in the left lung", "left lung", 1), ("lung lung", "left lung", 1 / 2), ("", "left lung", 0), ("lung", "the", 0)],
)
def test_recall_is_the_share_of_the_truth_that_was_said(said: str, truth: str, recall: float) -> None:
    assert token_recall(said, truth) == pytest.approx(recall)
