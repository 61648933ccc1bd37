from pathlib import Path

import pytest

from components.compare import evaluated
from components.compare.differences import alone, compare
from components.evaluation.config import EvaluateConfig
from components.evaluation.run import run
from model.interface.errors import BadInput
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
    assert sft.about["checkpoint"] == tree["digests"]["checkpoints"]["sft"]


def test_an_evaluation_that_is_not_there_is_told(config: EvaluateConfig, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the answers of rl are not at hand") as error:
        evaluated.load("rl", config.model_copy(update={"out": tmp_path}))
    assert "traces.jsonl.gz" in error.value.where
