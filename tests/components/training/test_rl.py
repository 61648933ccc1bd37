"""The loop on a small world."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from components.training import groups as module
from components.training import progress, rl
from components.training.alarms import AlarmConfig
from components.training.drawing import Answerable
from components.training.groups import Group, judged
from components.training.launch import Workers
from components.training.policy import Update
from components.training.progress import Position
from components.training.rl import train
from components.training.rl_config import RlConfig
from components.training.strategies import tuned
from model.vlm import checkpoint as folders
from model.vlm.backend import Asked, Generated, LocalEngine
from model.vlm.checkpoint import Checkpoint
from model.vlm.sampling import Sampling
from tests.components.training import answers, workers
from tests.components.training.test_sft import FirstSaves, FolderSaves, digest, largest_difference

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


def earning(rollouts, checkpoint, config) -> Group:
    """In place of `judged`: by the answer's place in its group, whatever was asked; every other question is flat."""
    group = judged(rollouts, checkpoint, config)
    flat = sum(rollouts[0].question.id.encode()) % 2 == 0
    return answers.rewarded(group, [0.0] * config.group if flat else [0.2, *[0.0] * (config.group - 1)])


class Told(LocalEngine):
    """An engine that keeps what it was asked, with the seeds, and what it answered."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.heard: list[tuple[int, str, tuple[int, ...]]] = []

    def generate(self, asked: Asked, sampling: Sampling) -> Generated:
        made = super().generate(asked, sampling)
        self.heard += [(sampling.seed, r.question.id, tuple(r.branch.ids)) for r in made.rollouts]
        return made


def a_step(rank: int, world: int, config: RlConfig) -> tuple[int, list, dict[str, float], dict[str, torch.Tensor]]:
    """(groups of this worker's, what it was asked and said, figures, gradients) of the fourth step."""
    checkpoint = folders.load(config.sft)
    trained, engine, kept = tuned(checkpoint, config), Told(checkpoint), {}
    engine.version = 3
    module.judged = earning  # of this process alone, or put back by who calls
    groups = module.gather(engine, checkpoint, Answerable(config.data, checkpoint), config, Workers(rank, world), 3)

    class Keep(torch.optim.SGD):
        def step(self, closure=None):
            kept.update({name: p.grad.clone() for name, p in trained.items() if p.grad is not None})

    moved = list(trained.values())
    figures = Update(checkpoint, groups, config).run(moved, Keep(moved, lr=0.0))
    return len(groups), engine.heard, figures, kept


def test_one_worker_two_and_three_ask_the_same_and_move_as_one(
    small: RlConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five groups, and those drawn in place of flat ones: uneven over two and over three."""
    monkeypatch.setattr(module, "judged", judged)  # put back behind `a_step`
    config = small.model_copy(update={"images": 3, "volumes": 2, "group": 3, "max_tokens": 10, "resample": 2})
    count, heard, figures, alone = a_step(0, 1, config)
    assert count > 5
    assert len({seed for seed, *_ in heard}) > 1
    assert figures["tokens"] > 0
    assert 0.01 < float(sum(grad.square().sum() for grad in alone.values())) ** 0.5 < 0.99  # not clipped
    for world in (2, 3):
        found = workers.run(a_step, world, world, config)
        assert sum(some for some, *_ in found) == count
        assert len({some for some, *_ in found}) > 1
        assert sorted(one for _, some, *_ in found for one in some) == sorted(heard)
        for _, _, told, gradients in found:
            assert told == pytest.approx(figures, abs=1e-5)
            assert largest_difference(gradients, alone) < 1e-6


def part_of_a_run(rank: int, world: int, config: RlConfig, place: Path, begun: Path) -> Position:
    module.judged = earning
    saves = FirstSaves(place)
    saves.last = lambda: begun
    return train(folders.load(config.sft), config, Workers(rank, world), saves, None)


def test_a_run_goes_on_with_more_workers_as_if_nothing_had_happened(
    small: RlConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "judged", earning)
    config = small.model_copy(update={"images": 3, "volumes": 2, "group": 3, "max_tokens": 10, "kl": "k3"})
    calm = train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "one"), None)
    assert calm.tokens > 0
    found = workers.run(part_of_a_run, 2, 2, config, tmp_path / "two", tmp_path / "one" / "001")
    for position in found:
        assert (position.step, position.tokens) == (calm.step, calm.tokens)
        assert position.notes == pytest.approx(calm.notes, abs=1e-4)
    before, one, other = (load_file(tmp_path / place / progress.WEIGHTS) for place in ("one/001", "one/003", "two/001"))
    assert all(torch.allclose(one[key], other[key], atol=1e-4) for key in one)
    assert max(float((one[key] - before[key]).abs().max()) for key in one) > 1e-3


def test_the_first_ten_steps_are_a_warm_up(small: RlConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.optim.Optimizer] = []
    adamw = rl.adamw
    monkeypatch.setattr(rl, "adamw", lambda *told: made.append(adamw(*told)) or made[0])

    class Rates(Drawn):
        def log(self, step: int, values: dict[str, float]) -> None:
            self.figures[step] = {"lr": made[0].param_groups[0]["lr"]}

    rates = Rates()
    told = {"steps": 12, "images": 1, "volumes": 0, "group": 2, "max_tokens": 1, "save_every": 12}
    train(folders.load(small.sft), small.model_copy(update=told), Workers(), FolderSaves(tmp_path), rates)
    wanted = [small.lr * k / 10 for k in range(1, 11)] + [small.lr] * 2
    assert [figures["lr"] for figures in rates.figures.values()] == pytest.approx(wanted)


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
