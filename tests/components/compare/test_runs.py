import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.compare import runs
from components.evaluation.metrics import score
from components.evaluation.report import COMPARED
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.trace import Flaw, Step
from tests.components.compare.made import counting, run
from tests.components.evaluation.made import frame, question
from tests.components.evaluation.made import trace as made_trace

BOX = Box.of((4, 6, 2, 14, 20, 9))


def test_an_answer_survives_as_a_row_and_becomes_the_same_trace(tmp_path: Path) -> None:
    given = made_trace(frame().to_model(BOX), crops=2)
    first = replace(given.steps[0], text=f"<think>{given.steps[0].text}")
    given = replace(given, steps=(first, Step("</think>B. there")))
    row = runs.row_of(score(question(BOX), frame(), given, "head"), given, question(BOX), frame())
    runs.write(tmp_path / "0.jsonl.gz", [row])
    (read,) = runs.read(tmp_path / "0.jsonl.gz")
    assert read == row and read.right
    again = runs.trace(read, frame(), "digest")
    assert again.answer == grammar.parse(read.said)
    assert (again.steps[0].box, again.steps[0].crops) == (given.steps[0].box, 2)
    assert again.steps[0].box_mm == frame().to_mm(frame().to_model(BOX))
    assert score(question(BOX), frame(), again, "head").counts["box_iou"] == (1, 1)


def test_flaws_are_kept_and_a_flawed_box_brings_nothing(tmp_path: Path) -> None:
    flaw = Flaw("[1]", "1 numbers, expected 6")
    given = replace(
        made_trace(),
        steps=(Step("<think><|box_start|>[1]<|box_end|>", flaw=flaw), Step("</think>B. there")),
        answer=replace(made_trace().answer, flaws=(flaw,)),
    )
    row = runs.row_of(score(question(BOX), frame(), given, "head"), given, question(BOX), frame())
    again = runs.trace(row, frame(), "digest")
    assert again.answer.flaws == (flaw,)
    assert again.steps[0].box is None


def test_only_metrics_that_say_something_are_kept() -> None:
    row = runs.row_of(score(question(), frame(), made_trace(), "head"), made_trace(), question(), frame())
    assert "box_iou" not in row.counts
    assert set(row.counts) <= set(COMPARED)
    assert row.counts["accuracy"] == (1, 1)


def test_a_table_is_seeds_by_questions() -> None:
    both = run("a", 3, seeds=2, n=6), run("b", 5, seeds=2, n=6)
    sums, counts = runs.table(both, (0, 1), ("q2", "q3", "q5"), "accuracy")
    assert sums.tolist() == [[[0, 1, 1], [0, 0, 1]], [[0, 0, 1], [0, 0, 0]]]
    assert counts.tolist() == [1, 1, 1]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_sum_that_is_no_number_is_told_by_its_place(broken: float) -> None:
    made = counting(run("a", 3, seeds=2), "accuracy", {1: broken})
    with pytest.raises(BadInput, match="has no score") as error:
        runs.table((run("b", 3, seeds=2), made), (0, 1), ("q2", "q3"), "accuracy")
    assert error.value.where == f"a, seed 1, question q2, accuracy: found {broken}, wanted a number"


def test_a_folder_without_answers_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run") as error:
        runs.load(tmp_path / "absent")
    assert "found no answers" in error.value.where


def seeds_of_a_run(folder: Path, **second) -> Path:
    """Two seeds; what the second has otherwise."""
    digests = {"data": "d", "base": "b", "training": "t"}
    for seed, changes in ((0, {}), (1, second)):
        told = {
            "title": "t",
            "test": {},
            "settings": {"mixture": "joint"},
            "contract": {},
            "digests": digests,
            **changes,
        }
        told["digests"] = told["digests"] | {"checkpoint": f"c{seed}"}
        folder.mkdir(exist_ok=True)
        (folder / f"{seed}.json").write_text(json.dumps(told))
        runs.write(folder / f"{seed}.jsonl.gz", run("a", 3, seeds=1, n=6).seeds[0].values())
    return folder


def test_a_run_has_its_seeds_and_what_they_share(tmp_path: Path) -> None:
    found = runs.load(seeds_of_a_run(tmp_path / "a"))
    assert (set(found.seeds), found.data, found.told[0]["settings"]) == ({0, 1}, "d", {"mixture": "joint"})
    assert [told["digests"]["checkpoint"] for told in found.told.values()] == ["c0", "c1"]
    assert "test" not in found.told[0]
    (tmp_path / "a/2.json").write_text("left over from another plan")
    one = runs.load(tmp_path / "a", (1,))
    assert (one.seeds, one.told, one.name) == ({1: found.seeds[1]}, {1: found.told[1]}, found.name)


def test_runs_are_told_apart_where_folders_are_called_alike(tmp_path: Path) -> None:
    """A cell by its name, any other folder by its path."""
    (tmp_path / "cells").mkdir()
    other, cell = tmp_path / "joint", tmp_path / "cells" / "joint"
    assert [runs.load(seeds_of_a_run(folder)).name for folder in (other, cell)] == [str(other), "joint"]


def test_what_is_no_seed_is_left_alone(tmp_path: Path) -> None:
    folder = seeds_of_a_run(tmp_path / "a")
    (folder / "notes.json").write_text("{}")
    assert set(runs.load(folder).seeds) == {0, 1}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("1.jsonl.gz", None, "found no file"),
        ("1.jsonl.gz", b"xx", "found what can't be read (BadGzipFile)"),
        ("1.jsonl.gz", gzip.compress(b'["q1","head"]\n' * 99, mtime=0)[:-9], "found what can't be read"),
        ("1.jsonl.gz", gzip.compress(b'["q1","head"]\n', mtime=0), "found what can't be read (ValueError)"),
        ("1.jsonl.gz", gzip.compress(b"7\n", mtime=0), "found what can't be read (TypeError)"),
        ("1.json", b"{", "found what can't be read (JSONDecodeError)"),
        ("1.json", b"[]", "found what can't be read (AttributeError)"),
        ("1.json", b'{"title": "t"}', "settings: found nothing"),
    ],
)
def test_a_seed_that_cannot_be_read_is_told_by_its_file(
    name: str, content: bytes | None, told: str, tmp_path: Path
) -> None:
    folder = seeds_of_a_run(tmp_path / "a")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(BadInput, match="a seed's answers are not at hand") as error:
        runs.load(folder)
    assert error.value.where.startswith(f"{folder / name}")
    assert told in error.value.where


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"digests": {"data": "e", "base": "b", "training": "t"}}, "1.json, digests.data: found e, wanted d as in 0"),
        ({"digests": {"data": "d", "base": "b", "training": "u"}}, "1.json, digests.training: found u, wanted t"),
        ({"digests": {"data": "d", "base": "c", "training": "t"}}, "1.json, digests.base: found c, wanted b"),
        ({"training": {"epochs": 5}}, "1.json, training: found {'epochs': 5}, wanted None"),
        ({"settings": {"mixture": "2d"}}, "1.json, settings: found {'mixture': '2d'}, wanted {'mixture': 'joint'}"),
        ({"contract": {"crop_slices": 0}}, "1.json, contract: found {'crop_slices': 0}, wanted {}"),
    ],
)
def test_seeds_of_a_run_differ_in_nothing_else(second: dict, told: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="differ in more than the seed") as error:
        runs.load(seeds_of_a_run(tmp_path / "a", **second))
    assert told in error.value.where


def test_seeds_of_a_run_answered_the_same_questions(tmp_path: Path) -> None:
    """One cut short would leave both with what is left of it."""
    folder = seeds_of_a_run(tmp_path / "a")
    runs.write(folder / "1.jsonl.gz", list(runs.read(folder / "1.jsonl.gz"))[:3])
    with pytest.raises(BadInput, match="other questions") as error:
        runs.load(folder)
    assert error.value.where == f"{folder}/1.jsonl.gz: found 3 questions, wanted those of 0.jsonl.gz"


def test_runs_of_other_data_are_told_by_name() -> None:
    runs.of_one_data([run("a", 3), run("b", 3)])
    with pytest.raises(BadInput, match="other questions") as error:
        runs.of_one_data([run("a", 3), run("b", 3), run("c", 3, data="e")])
    assert error.value.where == "c, data: found e, wanted d as of a"


def test_what_was_asked_is_kept_as_it_was_shown() -> None:
    asked = question(text="Which is it?", options=("{0}", "none"), answer=0, regions=(BOX,))
    row = runs.row_of(score(asked, frame(), made_trace(), "head"), made_trace(), asked, frame())
    assert row.asked == "Which is it?\n\nA. [36,24,2,56,52,9]\nB. none"
    assert row.truth == "A"
