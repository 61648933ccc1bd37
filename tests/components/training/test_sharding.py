"""FSDP2 over two gloo processes: the gradients, weights and state of one process, and nobody waits for nobody."""

from pathlib import Path

import pytest
import torch
from torch.distributed.tensor import DTensor

from components.training import groups, progress, rl, sharding
from components.training.examples import examples
from components.training.launch import Workers
from components.training.policy import Update
from components.training.progress import Position
from components.training.rl_config import RlConfig
from components.training.sft import SftConfig, train
from components.training.strategies import adamw, tuned
from model.learning.losses import target_logprobs
from model.learning.packing import pack
from model.learning.reference import Reference
from model.vlm import checkpoint as folders
from tests.components import world
from tests.components.training import answers, workers
from tests.components.training.test_sft import FirstSaves, FolderSaves, gradients_of, largest_difference


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SftConfig:
    root = tmp_path_factory.mktemp("sharding")
    return SftConfig(
        base=world.checkpoint(root / "base"),
        data=world.data(root / "data"),
        epochs=1,
        studies=6,
        micro_tokens=300,
        save_every=1,
        parallel="fsdp2",
    )


def _gradients(rank: int, config: SftConfig, places: list[list[int]]) -> dict[str, torch.Tensor]:
    return gradients_of(config, places[rank])


@pytest.mark.parametrize("places", [[[0, 1, 2, 4], [3]], [[0, 1, 2, 3, 4], []]])
def test_gradients_are_those_of_one_process(small: SftConfig, places: list[list[int]]) -> None:
    """Though one worker has many more micro-batches, or all of them."""
    once = gradients_of(small.model_copy(update={"parallel": "ddp"}), [0, 1, 2, 3, 4])
    for found in workers.run(_gradients, 2, small, places):
        assert largest_difference(found, once) < 1e-6


def _trained(rank: int, config: SftConfig, place: Path, first: Path | None) -> Position:
    checkpoint = folders.load(config.base)
    saves = FirstSaves(place)
    if first:
        saves.last = lambda: first
    position = train(checkpoint, config, Workers(rank, 2), saves, None)
    layers = list(checkpoint.vlm.model.language_model.layers.parameters())
    assert all(isinstance(p, DTensor) and p.to_local().numel() <= -(-p.numel() // 2) for p in layers if p.shape[0] > 1)
    assert not any(isinstance(p, DTensor) for p in checkpoint.vlm.model.visual.parameters())
    return position


def test_a_run_ends_in_the_same_state_and_goes_on_from_either(small: SftConfig, tmp_path: Path) -> None:
    """A state is whole: one process's is gone on from by two that share it out."""
    alone = small.model_copy(update={"parallel": "ddp"})
    expected = train(folders.load(small.base), alone, Workers(), FolderSaves(tmp_path / "one"), None)
    for name, first in (("two", None), ("on", tmp_path / "one" / "000")):
        found = workers.run(_trained, 2, small, tmp_path / name, first)
        assert [(position.step, position.tokens) for position in found] == [(expected.step, expected.tokens)] * 2
        last = sorted((tmp_path / name).iterdir())[-1]
        for file in (progress.WEIGHTS, progress.OPTIMISER):
            one, other = (progress.load_file(place / file) for place in (tmp_path / "one" / "001", last))
            assert one.keys() == other.keys()
            assert all(torch.allclose(one[key], other[key], atol=1e-5) for key in one), file


def _answers_of_different_lengths(rank: int, config: SftConfig) -> list[float]:
    checkpoint = folders.load(config.base)
    tuned(checkpoint, config)
    _, mine = examples(config.data, "train", checkpoint)
    packed = pack([mine[0].row([0])])
    with torch.no_grad(), sharding.gathered(checkpoint.vlm):
        found = [
            float(target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary).sum()) for _ in range(1 + 4 * rank)
        ]
    assert all(isinstance(p, DTensor) for p in checkpoint.vlm.model.language_model.layers.parameters())
    return found


def test_workers_may_sample_answers_of_different_lengths(small: SftConfig) -> None:
    """P15: the layers are gathered once, then nobody waits for anybody."""
    checkpoint = folders.load(small.base)
    _, mine = examples(small.data, "train", checkpoint)
    with torch.no_grad():
        alone = float(target_logprobs(checkpoint.vlm, pack([mine[0].row([0])]), checkpoint.vocabulary).sum())
    found = workers.run(_answers_of_different_lengths, 2, small)
    assert [len(some) for some in found] == [1, 5]
    assert found[0] + found[1] == [pytest.approx(alone, abs=1e-4)] * 6


def _clipped(rank: int, config: SftConfig) -> float:
    from components.training.gradients import clip_gradients

    checkpoint = folders.load(config.base)
    trained = tuned(checkpoint, config)
    for p in trained.values():
        p.grad = torch.ones_like(p)
    clip_gradients(list(trained.values()), 1.0)
    adamw(trained, 1e-3, 0.0).step()
    return sum(float(sharding.whole(p.grad).square().sum()) for p in trained.values() if p.grad is not None) ** 0.5


def test_the_norm_is_that_of_all_gradients_together(small: SftConfig) -> None:
    assert workers.run(_clipped, 2, small) == [pytest.approx(1.0, abs=1e-4)] * 2


EARNED = [0.5, 0.0, 0.0, -0.1]
"""So little that the gradient isn't clipped: a factor too many would be."""


@pytest.fixture(scope="module")
def outcomes(small: SftConfig) -> RlConfig:
    return RlConfig(
        sft=small.base,
        data=small.data,
        steps=2,
        images=2,
        volumes=1,
        group=4,
        max_tokens=12,
        micro_tokens=1,
        save_every=2,
        show_every=0,
        lr=1e-2,
        kl="k3",
        kl_beta=0.1,
    )


def _update(config: RlConfig, mine: list[int]) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Figures and gradients of an update on these groups, by a policy that has left its sampler and its reference."""
    checkpoint = folders.load(config.sft)
    some = answers.groups(checkpoint, config)
    copied = Reference(checkpoint.vlm) if config.tune == "full" else None
    trained = tuned(checkpoint, config)
    reference, random = copied or Reference(checkpoint.vlm), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in trained.values():
            p.add_(sharding.share_of(0.02 * torch.randn(p.shape, generator=random), p))
    kept: dict[str, torch.Tensor] = {}

    class Keep(torch.optim.SGD):
        def step(self, closure=None):
            kept.update({name: sharding.whole(p.grad).clone() for name, p in trained.items() if p.grad is not None})

    moved = list(trained.values())
    chosen = [answers.rewarded(some[i], EARNED) for i in mine]
    figures = Update(checkpoint, chosen, config, reference).run(moved, Keep(sharding.groups(moved), lr=0.0))
    return figures, kept


def _updates(rank: int, configs: list[RlConfig], divided: list[list[list[int]]]) -> list[dict[str, torch.Tensor]]:
    return [_update(config, places[rank])[1] for config in configs for places in divided]


def test_an_rl_update_is_that_of_one_process_with_a_reference_too(outcomes: RlConfig) -> None:
    """A copy of the whole beside layers that are spread; additions that are spread, switched off and on again."""
    tunes = [outcomes.model_copy(update={"tune": tune}) for tune in ("full", "lora")]
    spread = [config.model_copy(update={"parallel": "fsdp2"}) for config in tunes]
    divided = [[[0, 2], [1]], [[0, 1, 2], []]]
    once = [_update(config, [0, 1, 2]) for config in tunes for _ in divided]
    for figures, alone in once:
        assert figures["tokens"] > 0
        assert figures["kl_reference"] > 1e-4
        assert 0.01 < float(sum(grad.square().sum() for grad in alone.values())) ** 0.5 < 0.99
    for found in workers.run(_updates, 2, spread, divided):
        for (_, alone), mine in zip(once, found, strict=True):
            assert largest_difference(mine, alone) < 1e-6


def _rl(rank: int, config: RlConfig, world: int, place: Path) -> tuple[float, dict[str, float]]:
    """A run whose answers earn by their place in the group: an untrained model's all earn the same."""
    judge = groups.judged
    groups.judged = lambda *told: answers.rewarded(judge(*told), EARNED)
    try:
        position = rl.train(folders.load(config.sft), config, Workers(rank, world), FirstSaves(place), None)
    finally:
        groups.judged = judge
    return position.tokens, position.notes


def test_an_rl_run_is_the_same_spread_or_not(outcomes: RlConfig, tmp_path: Path) -> None:
    """Workers sample answers of their own lengths, and have different numbers of groups."""
    tokens, notes = _rl(0, outcomes, 1, tmp_path / "one")
    spread = workers.run(_rl, 2, outcomes.model_copy(update={"parallel": "fsdp2"}), 2, tmp_path / "two")
    assert tokens > 0
    assert [told for told, _ in spread] == [tokens] * 2
    assert spread[0][1] == pytest.approx(notes, abs=1e-4)
    began = folders.load(outcomes.sft).vlm.state_dict()
    one, other = (progress.load_file(tmp_path / name / "000" / progress.WEIGHTS) for name in ("one", "two"))
    assert all(torch.allclose(one[key], other[key], atol=1e-4) for key in one)
    assert max(float((one[key] - began[key]).abs().max()) for key in one) > 1e-3
