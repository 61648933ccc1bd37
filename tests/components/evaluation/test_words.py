import pytest

from components.evaluation.words import exact, normalised, token_f1, token_recall


@pytest.mark.parametrize(
    ("said", "right", "same", "f1", "recall"),
    [
        ("The left lung.", "left lung", 1, 1, 1),
        ("LEFT-LUNG", "left lung", 1, 1, 1),
        ("in the left lung", "left lung", 0, 0.8, 1),  # 2 of 3 said, 2 of 2 wanted
        ("lung lung", "left lung", 0, 0.5, 0.5),  # a word said twice counts once
        ("right", "left lung", 0, 0, 0),
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
    assert normalised("An  anaemia, the theory: a") == "anaemia theory"
