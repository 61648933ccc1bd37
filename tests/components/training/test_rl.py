"""The loop on a small world."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from components.training import progress
from components.training.alarms import AlarmConfig
from components.training.launch import Workers
from components.training.rl import train
from components.training.rl_config import RlConfig
from model.vlm import checkpoint as folders
from tests.components.training import answers
from tests.components.training.test_sft import FolderSaves, digest

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
STATES = (progress.WEIGHTS, progress.OPTIMISER)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RlConfig:
    return answers.config(tmp_path_factory.mktemp("rl"), max_tokens=100, lr=1e-2, group=8)


class Drawn:
    """What a training drew, kept."""

    def __init__(self) -> None:
        self.figures: dict[int, dict[str, float]] = {}
        self.pictures: dict[int, np.ndarray] = {}

    def log(self, step: int, values: dict[str, float]) -> None:
        self.figures[step] = values

    def show(self, step: int, picture: np.ndarray) -> None:
        self.pictures[step] = picture

    def close(self) -> None: ...


class Heard(FolderSaves):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def state(folder: Path) -> list[bytes]:
    return [(folder / "003" / name).read_bytes() for name in STATES]


def test_two_runs_with_one_seed_are_bit_equal_and_another_seed_is_another_run(small: RlConfig, tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        told = small.model_copy(update={"seed": seed})
        position = train(folders.load(small.sft), told, Workers(), FolderSaves(tmp_path / name), None)
        assert position.tokens > 0
    assert state(tmp_path / "one") == state(tmp_path / "two")
    assert state(tmp_path / "one") != state(tmp_path / "other")


def test_killed_and_resumed_samples_and_learns_the_same(small: RlConfig, tmp_path: Path) -> None:
    """With a reference and alarms: what the policy began as, and what was heard, come back with it."""
    config = small.model_copy(update={"kl": "k3", "kl_beta": 0.1, "alarms": AlarmConfig(window=2, entropy=1.1)})
    calm = train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "calm"), None)
    with pytest.raises(InterruptedError):
        train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "stopped", 2), None)
    again = train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "stopped"), None)
    assert again == calm
    assert calm.notes["kl_reference"] > 0
    assert calm.notes["alarms/entropy"] >= 1
    assert state(tmp_path / "calm") == state(tmp_path / "stopped")
    for name in STATES:
        assert load_file(tmp_path / "calm" / "003" / name)


def test_the_tower_is_never_trained(small: RlConfig, tmp_path: Path) -> None:
    checkpoint = folders.load(small.sft)
    tower, head = digest(checkpoint.vlm.model.visual), digest(checkpoint.vlm.lm_head)
    train(checkpoint, small, Workers(), FolderSaves(tmp_path), None)
    assert digest(checkpoint.vlm.model.visual) == tower
    assert digest(checkpoint.vlm.lm_head) != head


def test_figures_pictures_and_alarms_are_told(small: RlConfig, tmp_path: Path) -> None:
    drawn, heard = Drawn(), Heard(tmp_path)
    config = small.model_copy(update={"show_every": 2, "alarms": AlarmConfig(window=2, entropy=1.1)})
    position = train(folders.load(small.sft), config, Workers(), heard, drawn)
    assert list(drawn.figures) == [1, 2, 3, 4]
    assert list(drawn.pictures) == [2, 4]
    wanted = {"reward", "correct", "entropy", "box_area", "kl", "ratio", "flat", "groups", "tokens", "off_policy"}
    assert wanted <= set(drawn.figures[1])
    assert all(figures["off_policy"] < 2e-5 for figures in drawn.figures.values())
    assert all(torch.isfinite(torch.tensor(list(figures.values()))).all() for figures in drawn.figures.values())
    rung = [line for line in heard.lines if " alarm entropy: " in line]
    assert len(rung) == position.notes["alarms/entropy"] == drawn.figures[4]["alarms/entropy"]


@pytest.mark.parametrize(
    ("told", "gap"),
    [
        ({"tune": "lora", "kl": "k3", "checkpointing": True}, 2e-5),
        ({"dtype": "bf16"}, 0.2),  # sampled and trained in the same arithmetic, but for the order of its sums
    ],
    ids=["lora", "bf16"],
)
def test_other_strategies_are_on_policy_too_and_learn(small: RlConfig, tmp_path: Path, told: dict, gap: float) -> None:
    checkpoint, drawn = folders.load(small.sft), Drawn()
    config = small.model_copy(update=told | {"steps": 2})
    train(checkpoint, config, Workers(), FolderSaves(tmp_path), drawn)
    for figures in drawn.figures.values():
        assert figures["off_policy"] < gap
        assert figures["tokens"] > 0
    moved = load_file(tmp_path / "001" / progress.WEIGHTS)
    assert all("lora" in name for name in moved) == ("tune" in told)
    if "tune" in told:
        assert drawn.figures[1]["kl_reference"] == pytest.approx(0, abs=1e-6)
        assert drawn.figures[2]["kl_reference"] > 0


@pytest.mark.parametrize(
    "told",
    [
        {"objective": "ppo"},
        {"reward": "iou"},
        {"kl": "k1"},
        {"updates": 0},
        {"alarms": {"window": 1}},
        {"beta": 1},
        {"rollout": "pool", "tune": "lora"},
    ],
)
def test_what_cant_be_meant_is_refused(told: dict) -> None:
    with pytest.raises(ValidationError):
        RlConfig.model_validate(told)
