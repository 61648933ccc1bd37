"""Rows as others wrote them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.release.reading import resized, samples, split_options, squared, told
from components.data.release.rows import AGENT, Conversation, Message, conversations, tasks
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


@pytest.mark.parametrize("as_text", [True, False])
def test_structs_and_json_strings_are_read_alike(tmp_path, as_text):
    def told_as(value):
        return json.dumps(value) if as_text else value

    prompt = [{"role": "user", "content": "<image>What?"}]
    rows = [{"source_dataset": "d", "prompt": prompt, "image_ids": ["i"], "ability": "vqa",
             "reward_model": told_as({"ground_truth": "B"}), "extra_info": told_as({"index": 3})}]  # fmt: skip
    put(tmp_path, "rl", rows)
    (task,) = tasks(tmp_path)
    assert (task.ground_truth, task.data_source, task.agent_name, task.facts) == ("B", "d", AGENT, {"index": 3})


BAD = {
    "no truth": ("reward_model", "{}", "no ground_truth"),
    "no JSON": ("reward_model", "{", "no object"),
    "a list": ("extra_info", "[]", "no object"),
    "no turns": ("prompt", [], "no turns"),
    "a role": ("prompt", [{"role": "tool", "content": "x"}], "another turn"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_field_is_named_with_its_row(tmp_path, fault):
    column, value, found = BAD[fault]
    good = {"prompt": [{"role": "user", "content": "?"}], "reward_model": '{"ground_truth": "A"}', "extra_info": "{}"}
    put(tmp_path, "rl", [good | {column: value}])
    with pytest.raises(BadInput) as caught:
        list(tasks(tmp_path))
    assert f"rl/part.parquet, row 0, {column}: found {found}" in caught.value.where


def test_pictures_and_their_places_must_agree(tmp_path):
    put(tmp_path, "sft", [row(asked="<image>" + ASKED, image_ids=["a", "b"])])
    with pytest.raises(BadInput) as caught:
        list(samples(tmp_path))
    assert "found 2 ids for 1 places" in caught.value.where


def test_a_missing_column_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(BadInput, match="layout") as caught:
        list(conversations(tmp_path))
    assert "sft/*.parquet" in caught.value.where
    put(tmp_path, "sft", [{"image_ids": ["a"]}])
    with pytest.raises(BadInput) as caught:
        list(conversations(tmp_path))
    assert "found no messages" in caught.value.where


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
