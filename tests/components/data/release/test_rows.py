"""Rows as others wrote them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.release.rows import AGENT, Pictures, conversations, tasks
from model.interface.errors import BadInput


def put(root, kind: str, some: list[dict]) -> None:
    (root / kind).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(some), root / kind / "part.parquet")


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


def test_a_missing_column_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(BadInput, match="layout") as caught:
        list(conversations(tmp_path))
    assert "sft/*.parquet" in caught.value.where
    put(tmp_path, "sft", [{"image_ids": ["a"]}])
    with pytest.raises(BadInput) as caught:
        list(conversations(tmp_path))
    assert "found no messages" in caught.value.where


def test_two_pictures_of_one_basename_stay_two(tmp_path):
    put(tmp_path, "images", [
        {"image_id": "a", "path": "x/1.png", "bytes": b"one"}, {"image_id": "b", "path": "y/1.png", "bytes": b"two"},
    ])  # fmt: skip
    pictures = Pictures(tmp_path)
    assert (pictures["a"], pictures["b"]) == (b"one", b"two")
    with pytest.raises(BadInput, match="layout"):
        pictures["c"]


def test_one_id_of_two_pictures_is_refused(tmp_path):
    one = {"image_id": "a", "path": "1", "bytes": b"one"}
    put(tmp_path, "images", [one, one | {"bytes": b"two"}])
    with pytest.raises(BadInput) as caught:
        Pictures(tmp_path)
    assert "'a' of two pictures" in caught.value.where
