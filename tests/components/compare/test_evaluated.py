import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.compare import evaluated
from components.compare.differences import alone, compare
from components.evaluation import traces
from components.evaluation.config import EvaluateConfig
from components.evaluation.run import run
from components.evaluation.traces import Answered
from model.imaging import shards
from model.interface import grammar
from model.interface.errors import BadInput
from model.interface.trace import Step, Trace
from tests.components import world


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EvaluateConfig:
    root = tmp_path_factory.mktemp("evaluated")
    return EvaluateConfig(
        data=world.data(root / "data", heads=4),
        checkpoints={"sft": world.checkpoint(root / "sft", 0), "rl": world.checkpoint(root / "rl", 1)},
        splits=("test",),
        blank_splits=("test",),
        out=root / "out",
        draws=100,
        max_tokens=24,
        threads=1,
    )


def test_runs_of_an_evaluation_have_its_numbers(config: EvaluateConfig) -> None:
    tree = run(config)
    sft, rl = (evaluated.load(name, config) for name in ("sft", "rl"))
    for dimension in ("2d", "3d"):
        for metric in ("accuracy", "box_iou", "valid_format"):
            told = tree["rl"]["test"][dimension][metric]
            found = alone(rl, metric, dimension)
            assert (found.value, found.n) == (pytest.approx(told["value"], abs=1e-4), told["n"])
        change = tree["difference"]["rl - sft"]["test"][dimension]["accuracy"]
        assert compare(rl, sft, "accuracy", dimension).found.value == pytest.approx(change["value"], abs=1e-4)
    assert sft.data == tree["digests"]["data"]
    assert sft.told[0]["digests"]["checkpoint"] == tree["digests"]["checkpoints"]["sft"]


def test_an_evaluation_that_is_not_there_is_told(config: EvaluateConfig, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the answers of rl are not at hand") as error:
        evaluated.load("rl", config.model_copy(update={"out": tmp_path}))
    assert "traces.jsonl.gz" in error.value.where


def answered(config: EvaluateConfig, out: Path) -> EvaluateConfig:
    """An evaluation made up: rl says A of every picture, and B where it sees a blank one."""
    questions, rows = shards.read_questions(config.data, "test"), []
    for blank, text in ((False, "<think>It is.</think>A. Yes"), (True, "<think>It is.</think>B. No")):
        for asked in questions:
            trace = Trace(asked.id, "digest", (32, 32, 1), (Step(text),), grammar.parse(text), sampled=9)
            rows.append(Answered("rl", "test", blank, not blank, trace))
    traces.write(out / traces.FILE, rows)
    (out / "metrics.json").write_text(json.dumps({"digests": {"data": shards.digest(config.data)}}))
    return config.model_copy(update={"out": out})


def test_answers_to_blank_pictures_are_not_those_of_the_run(config: EvaluateConfig, tmp_path: Path) -> None:
    found = evaluated.load("rl", answered(config, tmp_path))
    assert {row.letter for row in found.seeds[0].values()} == {"A"}
    assert alone(found, "accuracy", "3d").value == 1


def test_old_answers_are_not_those_to_new_questions(config: EvaluateConfig, tmp_path: Path) -> None:
    """Questions are called the same in every data set."""
    old = answered(config, tmp_path)
    new = world.data(tmp_path / "new", heads=4)
    questions = [replace(asked, answer=1) for asked in shards.read_questions(new, "test")]
    (new / shards.MANIFEST).unlink()
    shards.write_questions(new, "test", questions)
    shards.seal(new)
    with pytest.raises(BadInput, match="of other data") as error:
        evaluated.load("rl", old.model_copy(update={"data": new}))
    wanted, found = shards.digest(new)[:12], shards.digest(config.data)[:12]
    assert error.value.where == f"{tmp_path}/metrics.json, digests.data: found {found}, wanted {wanted} of {new}"
    assert error.value.next == "urm evaluate"


def test_a_question_without_an_answer_is_told(config: EvaluateConfig, tmp_path: Path) -> None:
    made = answered(config, tmp_path)
    first, *others = traces.read(tmp_path / traces.FILE)
    traces.write(tmp_path / traces.FILE, others)
    with pytest.raises(BadInput, match="rl did not answer all questions") as error:
        evaluated.load("rl", made)
    assert f"found no answer of rl to {first.trace.question_id}, wanted one to all 8 of test" in error.value.where
