import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.learning.matching import exact, token_f1, token_recall, words


@pytest.mark.parametrize(
    ("said", "right", "same", "f1", "recall"),
    [
        ("The left lung.", "left lung", 1, 1, 1),
        ("LEFT-LUNG", "left lung", 1, 1, 1),
        ("left_lung", "left lung", 1, 1, 1),
        ("lung, left", "left lung", 0, 1, 1),  # the same words: close, but not what was said
        ("in the left lung", "left lung", 0, 0.8, 1),  # 2 of 3 said, 2 of 2 wanted
        ("lung lung", "left lung", 0, 0.5, 0.5),  # a word said twice counts once
        ("right", "left lung", 0, 0, 0),
        ("3.5 cm", "3.5 cm", 1, 1, 1),
        ("35 cm", "3.5 cm", 0, 0.5, 0.5),  # a number is a word, point and all
        ("ﬁbrosis", "fibrosis", 1, 1, 1),  # a ligature is two letters
        ("", "left lung", 0, 0, 0),
        ("an", "a", 1, 1, 1),  # nothing is left of either
        ("yes", "the", 0, 0, 0),
    ],
)
def test_words_by_hand(said: str, right: str, same: float, f1: float, recall: float) -> None:
    assert exact(said, right) == same
    assert token_f1(said, right) == pytest.approx(f1)
    assert token_recall(said, right) == pytest.approx(recall)


def test_articles_inside_words_stay() -> None:
    assert words("An  anaemia, the theory: a") == ["anaemia", "theory"]


@given(st.text(max_size=40), st.text(max_size=40))
def test_f1_is_symmetric_within_bounds_and_whole_for_what_is_exact(said: str, right: str) -> None:
    assert 0 <= token_f1(said, right) <= 1
    assert token_f1(said, right) == token_f1(right, said)
    assert token_f1(said, right) >= exact(said, right)
    assert exact(said, said) == 1
