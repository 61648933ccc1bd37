import pytest

from components.evaluation.baselines import majority, majority_letter
from tests.components.evaluation.made import question

TRAIN = [
    *[question(options=("left", "right"), answer=1, text="Which side?")] * 3,
    *[question(options=("left", "right"), answer=0, text="Which side?")] * 2,
    *[question(options=("yes", "no"), answer=0, text="Is it there?")] * 9,
]


@pytest.mark.parametrize(("options", "letter"), [(("left", "right"), "B"), (("right", "left"), "A")])
def test_what_was_right_most_often_is_found_wherever_it_stands(options: tuple[str, ...], letter: str) -> None:
    assert majority_letter(majority(TRAIN), question(options=options, text="Which side?")) == letter


def test_only_offered_options_are_chosen() -> None:
    assert majority_letter(majority(TRAIN), question(options=("up", "left"), text="Which side?")) == "B"


def test_a_wording_never_seen_is_answered_by_its_family() -> None:
    assert majority_letter(majority(TRAIN), question(options=("no", "yes"), text="Really?")) == "B"


def test_nothing_known_answers_the_first() -> None:
    assert majority_letter(majority(TRAIN), question(family="size comparison")) == "A"
    assert majority_letter(majority(TRAIN), question(dimension=2)) == "A"


def test_the_truth_of_the_question_itself_is_not_looked_at() -> None:
    asked = question(options=("left", "right"), text="Which side?", answer=0)
    assert majority_letter(majority(TRAIN), asked) == "B"
