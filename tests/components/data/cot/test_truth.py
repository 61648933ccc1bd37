"""Which answers are true of masks drawn by hand."""

import numpy as np
import pytest

from components.data.cot.truth import ANSWERS, Truth, answers, holds
from model.interface.boxes import Box
from tests.components.data.cot import blobs

SHAPE = (30, 30, 1)
PICTURE = Truth(
    masks={name: np.zeros(SHAPE, bool) for name in ("liver", "spleen", "liver tumour")},
    shape=SHAPE,
    spacing=np.array((2.0, 1.0, 9.0)),
    sought=frozenset(["liver", "spleen", "liver tumour"]),
    names=frozenset(["liver", "spleen", "liver tumour"]),
    plane="image",
    flat=True,
    sides=False,
)
PICTURE.masks["liver"][3:15, 4:12] = True
PICTURE.masks["liver tumour"][5:9, 5:8] = True


@pytest.mark.parametrize(
    ("ask", "about", "right"),
    [
        ("quarter", ["liver"], "upper left quarter of the picture"),
        ("diameter", ["liver tumour"], "less than 10 mm"),
        ("diameter", ["liver"], "20 to 40 mm"),
        ("number", ["liver tumour"], "one"),
        ("host", ["liver tumour"], "liver"),
        ("kind", [], "liver tumour"),
        ("seen", ["spleen"], "No"),
        ("larger", ["liver", "liver tumour"], "liver"),
        ("inside", ["liver tumour", "liver"], "Yes"),
    ],
)
def test_one_answer_of_all_is_true(ask, about, right):
    assert [answer for answer in answers(ask, about, PICTURE) if holds(ask, about, answer, PICTURE)] == [right]


def test_an_answer_to_something_else_is_false():
    for ask, about in (("quarter", ["liver"]), ("number", ["liver"]), ("relation x", ["liver", "liver tumour"])):
        for other in {answer for some in ANSWERS.values() for answer in some} - set(ANSWERS[ask]):
            assert holds(ask, about, other, PICTURE) is False
    assert holds("number", ["liver"], PICTURE.box("liver"), PICTURE) is False


def test_a_box_close_to_the_true_one_is_neither_right_nor_wrong():
    true = PICTURE.box("liver")
    assert holds("which box", ["liver"], true, PICTURE) is True
    assert holds("which box", ["liver"], Box.of((4, 4, 0, 15, 12, 1)), PICTURE) is None
    assert holds("which box", ["liver"], Box.of((20, 20, 0, 25, 28, 1)), PICTURE) is False


def test_the_longest_side_is_one_that_is_seen():
    assert PICTURE.longest_side == 60
    body = blobs.body(0)
    assert Truth.of(body, "digest", "axial").longest_side == 100
    cut = Truth.of(body, "digest-axial-12", "axial")
    assert (cut.shape, cut.longest_side) == ((48, 40, 1), 100)


def test_all_names_of_a_set_may_be_spoken_of():
    body = blobs.body(0)
    assert Truth.of(body, "digest", "axial").names == {*blobs.PLACES, blobs.LESION}
