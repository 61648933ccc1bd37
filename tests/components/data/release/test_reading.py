"""Conversations as others wrote them."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.data.release.reading import resized, samples, split_options, squared, told
from components.data.release.rows import Conversation, Message
from components.data.vqa.item import Report
from model.interface.boxes import Box
from model.interface.errors import BadInput

SAID = "<think>A mass is at <|box_start|>[96,105,5,147,152,27]<|box_end|>, far from the hilum.</think>B. Spinal cord"
ASKED = "Where is it?\n\nA. Liver\nB. Spinal cord\n\nAnswer with a letter from A to D."


def row(said: str = SAID, asked: str = ASKED, **more) -> dict:
    turns = [("system", "You read 3D volumes."), ("user", asked), ("assistant", said)]
    return {"messages": [{"role": r, "content": c} for r, c in turns], "image_ids": None} | more


def put(root, kind: str, some: list[dict]) -> None:
    (root / kind).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(some), root / kind / "part.parquet")


def test_a_volume_that_is_text_alone_is_a_question_without_a_study(tmp_path):
    put(tmp_path, "sft", [row(), row(image_ids=[])])
    for sample in samples(tmp_path):
        question = sample.question
        assert sample.study is None
        assert (question.dimension, question.letter, question.text) == (3, "B", "Where is it?")
        assert question.options == ("Liver", "Spinal cord")
        assert question.rationale[0].box == Box.of((96, 105, 5, 147, 152, 27))
        assert question.rationale[1].text == ", far from the hilum."


def test_round_brackets_are_boxes_too():
    said = SAID.replace("[", "(").replace("]", ")")
    assert squared(said) == SAID
    talk = tuple(Message(r, c) for r, c in (("user", ASKED), ("assistant", said)))
    assert told(Conversation("r", talk)).answer.evidence == (Box.of((96, 105, 5, 147, 152, 27)),)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (SAID.replace("96", "200"), "not a box"),
        (SAID.replace("</think>", ""), "no <think>"),
        (SAID.replace("B. Spinal", "D. Spinal"), "its letter is no option"),
        (SAID.replace("B. Spinal cord", "It is the cord"), "its letter is no option"),
    ],
)
def test_a_trace_that_cannot_be_used_is_counted_by_reason(tmp_path, said, reason):
    put(tmp_path, "sft", [row(), row(said)])
    report = Report()
    assert len(list(samples(tmp_path, report))) == report.used == 1
    ((found, n),) = report.unused.items()
    assert (reason in found, n) == (True, 1)
    assert report.samples[found] == ["sft/part.parquet, row 1"]


def test_pictures_and_their_places_must_agree(tmp_path):
    put(tmp_path, "sft", [row(asked="<image>" + ASKED, image_ids=["a", "b"])])
    with pytest.raises(BadInput) as caught:
        list(samples(tmp_path))
    assert "found 2 ids for 1 places" in caught.value.where


def test_a_picture_that_is_none_is_named(tmp_path):
    put(tmp_path, "sft", [row("<think>So.</think>B. Spinal cord", "<image>" + ASKED, image_ids=["a"])])
    put(tmp_path, "images", [{"image_id": "a", "path": "a.png", "bytes": b"<html>"}])
    with pytest.raises(BadInput, match="layout") as caught:
        list(samples(tmp_path))
    assert "picture: found UnidentifiedImageError" in caught.value.where


def test_options_are_the_last_lines_that_begin_with_letters():
    assert split_options("A. is odd\nWhat?\n\nA. x\nB. y") == ("A. is odd\nWhat?", ("x", "y"))
    assert split_options("What?\n\nA. x") == ("What?\n\nA. x", ())
    assert split_options("What?") == ("What?", ())


@pytest.mark.parametrize(
    ("size", "made"),
    [((256, 256), (252, 252)), ((512, 512), (504, 504)), ((252, 252), (252, 252)), ((10, 10), (56, 56))],
)
def test_pictures_are_resized_as_qwen_s_processor_does(size, made):
    """512 -> 504 and 256 -> 252 are the published examples of factor 28; 56 x 56 is its smallest picture."""
    assert resized(*size) == made


def test_a_picture_of_the_largest_area_stays_under_it():
    columns, rows = resized(9000, 7000)
    assert columns * rows <= 12_845_056
    assert columns % 28 == rows % 28 == 0


@pytest.mark.parametrize("colour", [False, True])
def test_boxes_of_a_picture_are_brought_to_its_own_pixels(tmp_path, colour):
    """100 x 60 is shown as 112 x 56."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 100, 3) if colour else (60, 100), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    said = "<think>It is at <|box_start|>[56,28,112,56]<|box_end|><image></think>B. Spinal cord"
    put(tmp_path, "sft", [row(said, "<image>" + ASKED, image_ids=["a", "crop"])])
    put(tmp_path, "images", [{"image_id": "a", "path": "a.png", "bytes": stream.getvalue()}])
    (sample,) = samples(tmp_path)
    assert sample.study is not None
    assert resized(100, 60) == (112, 56)
    assert sample.question.rationale[0].box == Box.of((50, 30, 100, 60))
    assert (sample.study.volume.voxels[:, :, 0] == np.swapaxes(pixels, 0, 1)).all()
    assert sample.question.study == sample.study.id
