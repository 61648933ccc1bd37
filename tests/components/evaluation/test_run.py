import json
from pathlib import Path

import pytest

from components.evaluation.config import EvaluateConfig
from components.evaluation.run import blanks, read_exam, run
from components.evaluation.traces import read
from model.interface.errors import Integrity
from model.vlm import checkpoint as folders
from tests.components import world


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world.data(folder / "data")
    world.checkpoint(folder / "sft", seed=0)
    world.checkpoint(folder / "rl", seed=1)
    return folder


def config(small: Path, out: str) -> EvaluateConfig:
    return EvaluateConfig(
        data=small / "data",
        checkpoints={"sft": small / "sft", "rl": small / "rl"},
        out=small / out,
        draws=100,
        max_tokens=24,
        threads=1,
    )


def test_the_same_inputs_give_the_same_bytes(small: Path) -> None:
    tree = run(config(small, "results/evaluate"))
    first = {path.name: path.read_bytes() for path in (small / "results/evaluate").iterdir()}
    run(config(small, "results/evaluate"))
    assert {path.name: path.read_bytes() for path in (small / "results/evaluate").iterdir()} == first
    assert set(first) == {"metrics.json", "table.md", "traces.jsonl.gz"}
    assert json.loads(first["metrics.json"]) == tree


def test_every_answer_behind_the_numbers_is_kept(small: Path) -> None:
    tree = run(config(small, "kept"))
    answers = list(read(small / "kept/traces.jsonl.gz"))
    assert len(answers) == 2 * 4 * 12  # checkpoints x (test, test blank, real, shifted) x questions
    right = [a.correct for a in answers if (a.checkpoint, a.split, a.blank) == ("rl", "test", False)]
    both = [tree["rl"]["test"][dimension]["accuracy"] for dimension in ("2d", "3d")]
    assert sum(right) == pytest.approx(sum(metric["value"] * metric["n"] for metric in both))  # type: ignore[arg-type]
    assert tree["rl"]["test"]["3d"]["baseline_majority"]["value"] == 1  # the answer is always "Yes"
    assert "baseline_blank" in tree["sft"]["test"]["2d"]
    assert set(tree["difference"]) == {"rl - sft"}


def test_a_blank_study_shows_nothing_and_is_read_once(small: Path) -> None:
    exam = read_exam(small / "data", "test", folders.load(small / "rl"))
    twins = blanks(exam.prepared)
    assert all(not twin.slices.any() for twin in twins)
    assert [twin.frame for twin in twins] == [study.frame for study in exam.prepared]
    assert len(set(map(id, twins))) == 2  # one an image, one a volume: all heads are shown alike


def test_changed_data_is_refused_by_name(small: Path, tmp_path: Path) -> None:
    data = world.data(tmp_path / "data", heads=2)
    file = data / "test-questions.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Integrity, match="manifest") as error:
        run(config(small, "refused").model_copy(update={"data": data}))
    assert "test-questions.parquet" in error.value.where
