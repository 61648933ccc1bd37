from dataclasses import replace

import numpy as np
import pytest

from components.serving.story import tell
from model.imaging.crop import crop
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.trace import Answer, Step
from tests.components.serving.told import blob, image, question, study, trace
from tests.model.imaging.phantom import BLOB, CONTRACT, head


def test_a_story_shows_the_crops_the_model_saw():
    prepared = study()
    box = blob(prepared)
    [look] = tell(trace(prepared, ("It is at ", box)), prepared, question(), CONTRACT).looks
    for shown, seen in zip(look.crops, crop(prepared, box, CONTRACT), strict=True):
        assert np.array_equal(shown, seen)
    assert look.numbers == "[" + ",".join(f"{n:g}" for n in box.numbers) + "]"
    assert all(box.low[2] <= z < box.high[2] for z in look.slices)


def test_a_cards_words_have_no_tags_and_no_answer():
    prepared = image()
    story = tell(trace(prepared, ("The block is at ", blob(prepared))), prepared, question(2), CONTRACT)
    assert [card.text for card in story.cards] == ["The block is at"]
    assert story.answer == "A. Yes"
    assert "<|box_start|>" in story.verbatim


@pytest.mark.parametrize(
    ("answer", "truth", "verdict"),
    [("A. Yes", 0, "correct"), ("B. No", 0, "wrong"), ("well", 0, "wrong"), ("A. Yes", None, "")],
)
def test_the_verdict_needs_a_truth(answer, truth, verdict):
    prepared, asked = image(), question(2, answer=truth)
    story = tell(trace(prepared, answer=answer), prepared, asked, CONTRACT)
    assert story.verdict == verdict
    assert [choice.reference for choice in story.choices] == [truth == 0, False]
    assert [choice.chosen for choice in story.choices] == [answer[0] == "A", answer[0] == "B"]


def test_a_flawed_box_is_told_once_and_brings_no_crop():
    prepared = image()
    outside = Box.of((80, 80, 300, 300))
    story = tell(trace(prepared, ("At ", outside)), prepared, question(2), CONTRACT)
    [card] = story.cards
    assert card.title == "1 · Flawed box"
    assert "outside" in card.flaw
    assert not story.looks
    assert not story.flaws, "already on its card"


def test_other_flaws_are_told_too():
    prepared = image()
    story = tell(trace(prepared, answer="A. Yes</think>"), prepared, question(2), CONTRACT)
    assert any("more than one <think>" in flaw for flaw in story.flaws)


def test_mm_are_told_only_where_they_are_known():
    known = study()
    [look] = tell(trace(known, ("At ", blob(known))), known, question(), CONTRACT).looks
    assert look.mm.endswith("mm (RAS+)")
    volume = known.volume
    unframed = study(Volume(volume.voxels, volume.affine, "", False, "image"))
    [look] = tell(trace(unframed, ("At ", unframed.frame.to_model(BLOB))), unframed, question(), CONTRACT).looks
    assert look.mm == "no mm: the frame is unknown"
    declared = study(replace(volume, spacing_known=False))
    [look] = tell(trace(declared, ("At ", blob(declared))), declared, question(), CONTRACT).looks
    assert look.mm == "no mm: the spacing is unknown"


def test_regions_of_a_question_are_told_in_model_space():
    prepared = study()
    asked = question(text="What is at {0}?", regions=(BLOB,))
    box = ",".join(f"{n:g}" for n in blob(prepared).numbers)
    assert tell(trace(prepared), prepared, asked, CONTRACT).question == f"What is at [{box}]?"


def test_a_trace_is_never_shown_on_another_study():
    one, other = study(), image()
    for shown in (other, study(head(seed=1))):
        with pytest.raises(ValueError, match="shown on another study"):
            tell(trace(one), shown, question(), CONTRACT)


def test_whatever_the_model_wrote_can_be_told():
    prepared = image()
    for text in ("", "<think>", "</think>", "<|box_start|>[1,2<|box_end|>", "\x00\ud7ff<|im_end|>"):
        said = replace(trace(prepared), steps=(Step(text),), answer=Answer(None, text, (), ()))
        assert tell(said, prepared, question(2), CONTRACT).verbatim == text
