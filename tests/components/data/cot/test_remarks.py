"""What a rationale may say of masks drawn by hand."""

from dataclasses import replace

import numpy as np
import pytest

from components.data.cot.remarks import conclusions, sentences, wrong_remarks
from components.data.cot.truth import Truth
from model.interface.boxes import Box
from model.interface.question import Question, Remark

SHAPE = (20, 20, 20)
PLACES = {
    "left kidney": (slice(2, 6), slice(8, 12), slice(4, 10)),
    "right kidney": (slice(14, 18), slice(8, 12), slice(6, 9)),
    "liver": (slice(8, 18), slice(12, 19), slice(10, 18)),
    "aorta": (slice(9, 11), slice(3, 5), slice(0, 20)),
    "liver tumour": (slice(10, 13), slice(14, 16), slice(12, 14)),
}


def painted(*, without: str = "") -> Truth:
    masks = {name: np.zeros(SHAPE, bool) for name in PLACES}
    for name, place in PLACES.items():
        masks[name][place] = name != without
    names = frozenset([*PLACES, "spleen"])
    return Truth(masks, SHAPE, np.ones(3), names, names, "axial", flat=False, sides=True)


def at(name: str, text: str, kind: str = "structure") -> Remark:
    places = PLACES[name]
    box = Box.of((*(place.start for place in places), *(place.stop for place in places)))
    return Remark(text, box, name, kind)


def question(*rationale: Remark) -> Question:
    return Question("q", "s", "p", "train", 3, "spatial localisation", "?", (), None, rationale=rationale, reply="left")


def faults(ask: str, about: list[str], *rationale: Remark, own_words: bool = False) -> list[str]:
    return list(wrong_remarks(question(*rationale), ask, about, painted(), own_words=own_words))


KIDNEY = at("left kidney", "The left kidney is at")
TUMOUR = at("liver tumour", "Look at the liver tumour at", "lesion")
AROUND = at("liver", "First the liver around it:")


@pytest.mark.parametrize(
    ("ask", "about", "some"),
    [
        ("side", ["left kidney"], "So this is the left side."),
        ("host", ["liver tumour"], "So it lies inside the liver."),
        ("third", ["right kidney"], "Its centre is in the middle third."),
        ("larger side", ["kidney"], "The left one is bigger."),
        ("larger", ["aorta", "liver"], "Of the two the liver is larger."),
        ("relation x", ["left kidney", "liver"], "It is to the left of the liver."),
        ("relation y", ["liver", "aorta"], "So it lies in front of the aorta."),
        ("relation z", ["liver", "left kidney"], "It lies above the left kidney."),
        ("higher side", ["kidney"], "The right one sits further up."),
        ("inside", ["liver tumour", "liver"], "It is inside the liver."),
        ("inside", ["liver tumour", "left kidney"], "It is outside the left kidney."),
        ("kind", [], "It looks like a liver tumour."),
        ("number", ["liver tumour"], "I count one."),
        ("diameter", ["liver tumour"], "Its longest side is less than 10 mm."),
        ("seen", ["spleen"], "The spleen is not here."),
    ],
)
def test_only_what_is_true_is_concluded(ask, about, some):
    found = conclusions(ask, about, painted())
    assert found
    assert some in found
    said = "left", "right", "one", "several", "inside", "outside", "above", "below", "in front of", "behind"
    told = {word for word in said if any(f" {word} " in f" {text.rstrip('.')} " for text in found)}
    assert not any({a, b} <= told for a, b in zip(said[2::2], said[3::2], strict=True)), "one way of each"


def test_a_box_and_what_is_there_need_no_conclusion():
    assert conclusions("which box", ["liver"], painted()) is None
    assert conclusions("seen", ["liver"], painted()) is None


def test_what_the_masks_leave_in_doubt_is_concluded_by_no_words():
    masks = {name: mask.copy() for name, mask in painted().masks.items()}
    masks["liver"][11:] = False  # a third of the tumour is left in it
    assert conclusions("inside", ["liver tumour", "liver"], replace(painted(), masks=masks)) == ()


def test_no_lesion_is_told_of_its_own():
    truth = painted(without="liver tumour")
    assert "Nothing here is a lesion." in (conclusions("kind", [], truth) or ())
    assert "There is no liver tumour here." in (conclusions("lesion seen", ["liver tumour"], truth) or ())


def test_the_fault_names_the_remark_what_was_found_and_what_was_wanted():
    assert faults("side", ["left kidney"], KIDNEY, Remark("That is on the left.")) == []
    assert faults("side", ["left kidney"], KIDNEY, Remark("That is on the right.")) == [
        "conclusion: found 'That is on the right.', wanted 'It is on the left.'"
    ]
    told = faults("side", ["left kidney"], replace(KIDNEY, text="The liver is at"), Remark("That is on the left."))
    assert told == ["remark 1: found 'The liver is at', wanted 'The left kidney is at'"]
    assert faults("side", ["left kidney"], KIDNEY) == ["conclusion: found [], wanted ('It is on the left.',)"]


def test_what_is_around_a_thing_must_hold_it():
    assert faults("which box", ["liver tumour"], AROUND, TUMOUR) == []
    other = at("aorta", "First the aorta around it:")
    assert faults("which box", ["liver tumour"], other, TUMOUR) == [
        "around the liver tumour: found aorta, wanted what it lies in"
    ]


def test_a_second_look_is_at_the_same_box():
    closer = replace(TUMOUR, text="A closer look at the liver tumour:")
    last = Remark("I count one.")
    assert faults("number", ["liver tumour"], TUMOUR, closer, last) == []
    assert faults("number", ["liver tumour"], TUMOUR, TUMOUR, last)
    assert faults("number", ["liver tumour"], closer, last)


def test_only_something_of_its_system_is_pointed_at_instead_of_what_is_missing():
    last = Remark("There is no liver tumour here.")
    truth = painted(without="liver tumour")
    liver, kidney = at("liver", "The liver is at"), KIDNEY
    assert not list(wrong_remarks(question(last), "lesion seen", ["liver tumour"], truth))
    assert not list(wrong_remarks(question(liver, last), "lesion seen", ["liver tumour"], truth))
    assert list(wrong_remarks(question(kidney, last), "lesion seen", ["liver tumour"], truth))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Hence we are on the left here.", True),
        ("Hence we are on the right here.", False),
        ("Hence we are somewhere.", False),
        ("Hence we are not on the left here.", False),
        ("Hence the liver is on the left.", False),
        ("Hence we are on the left. Ignore the prompt.", False),
    ],
)
def test_words_of_ones_own_must_state_what_is_true(text, right):
    assert faults("side", ["left kidney"], KIDNEY, Remark(text)), "without leave no words of one's own"
    assert (faults("side", ["left kidney"], KIDNEY, Remark(text), own_words=True) == []) is right


def test_own_words_after_the_last_box_state_nothing():
    assert faults("seen", ["liver"], at("liver", "Behold the liver:"), Remark("As one sees."), own_words=True) == []
    assert faults("seen", ["liver"], at("liver", "Behold the liver:"), Remark("It is on the left."), own_words=True)


def test_a_verb_of_another_number_is_not_of_the_grammar():
    assert "Are the ribs seen?" in sentences("ask", "seen", "ribs")
    assert "Is the ribs seen?" not in sentences("ask", "seen", "ribs")


def test_what_the_grammar_does_not_know_has_no_sentence():
    assert sentences("conclude", "weather", "liver") == ()
