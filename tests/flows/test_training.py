"""A profile's run is another run than the stage, and any run can be worked out first."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.training import config_of
from model.interface.errors import BadInput
from tests.components import world


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    world.checkpoint(tmp_path / "checkpoints" / "base")
    world.data(tmp_path / "data")
    return tmp_path


def test_a_profiles_run_has_places_of_its_own(inside: Path) -> None:
    (inside / "params.yaml").write_text("rl: {group: 4}\n")
    rl = config_of("rl", "h200-3b-lora")
    assert str(rl.out) == "checkpoints/rl-h200-3b-lora"
    assert str(rl.results) == "results/rl-h200-3b-lora/metrics.json"
    assert rl.model_dump()["sft"] == config_of("sft", "h200-3b-lora").out
    assert rl.model_dump()["group"] == 4
    assert str(config_of("sft", None).out) == str(config_of("sft", "tiny").out) == "checkpoints/sft"


@pytest.mark.parametrize("stage", ["sft", "rl"])
def test_a_dry_run_tells_the_plan_and_starts_nothing(stage: str, inside: Path) -> None:
    """Of rl too, before there is a checkpoint to start from."""
    told = CliRunner().invoke(app, ["train", stage, "--dry-run"])
    assert told.exit_code == 0, told.output
    assert "memory " in told.stdout
    assert "GB a worker" in told.stdout
    assert not (inside / ".cache").exists()


def test_a_dry_run_refuses_what_can_not_fit(inside: Path) -> None:
    (inside / "params.yaml").write_text("sft: {device_gb: 0.001}\n")
    told = CliRunner().invoke(app, ["train", "sft", "--dry-run"])
    assert isinstance(told.exception, BadInput)
    assert "memory " in told.stdout  # what was worked out is told first


@pytest.mark.parametrize("arguments", [("base", "--dry-run"), ("base", "--profile", "h200-3b-lora")])
def test_base_has_neither(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["train", *arguments]).exit_code == 2
