"""The loop on a small world: resuming, gradients however they are split, frozen tower; once under Ray."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.training import progress, sharding
from components.training.examples import examples
from components.training.launch import Workers, code
from components.training.sft import SftConfig, run, train, train_step
from components.training.sharding import whole
from components.training.strategies import tuned
from model.imaging import shards
from model.interface.errors import Integrity
from model.vlm import checkpoint as folders
from tests.components import world
from tests.components.training import workers


class FolderSaves:
    """States kept in a folder each; stops the training by raising after some of them."""

    def __init__(self, folder: Path, stop_after: int = 0) -> None:
        self.folder, self.stop_after, self.count = folder, stop_after, 0

    def last(self) -> Path | None:
        found = sorted(self.folder.glob("*"))
        return found[-1] if found else None

    def say(self, line: str) -> None:
        assert "\n" not in line

    def save(self, write: Callable[[Path], None], metrics: dict[str, float], *, first: bool) -> None:
        self.count += 1
        place = self.folder / f"{len(list(self.folder.glob('*'))):03d}"
        place.mkdir(parents=True)
        write(place)
        if self.count == self.stop_after:
            raise InterruptedError


class FirstSaves(FolderSaves):
    """As a run's: the first worker writes."""

    def save(self, write, metrics, *, first):
        if first:
            super().save(write, metrics, first=first)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SftConfig:
    root = tmp_path_factory.mktemp("sft")
    return SftConfig(
        base=world.checkpoint(root / "base"),
        data=world.data(root / "data"),
        out=root / "out",
        results=root / "metrics.json",
        epochs=2,
        studies=6,
        micro_tokens=200,
        save_every=1,
        lr=1e-2,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: p.clone() for name, p in folders.load(folder).vlm.named_parameters()}


def digest(module: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for p in module.parameters():
        found.update(p.detach().numpy().tobytes())
    return found.hexdigest()


def test_killed_and_resumed_is_bit_equal_to_undisturbed(small: SftConfig, tmp_path: Path) -> None:
    """Also across the epoch boundary (after step 2 of 4), and no step is done twice or left out."""
    calm = train(folders.load(small.base), small, Workers(), FolderSaves(tmp_path / "calm"), None)
    assert calm.step == 4
    for stop in (1, 2, 3):
        place = tmp_path / f"stopped-{stop}"
        with pytest.raises(InterruptedError):
            train(folders.load(small.base), small, Workers(), FolderSaves(place, stop), None)
        again = train(folders.load(small.base), small, Workers(), FolderSaves(place), None)
        assert again == calm
        for name in (progress.WEIGHTS, progress.OPTIMISER):
            assert (tmp_path / "calm" / "003" / name).read_bytes() == (place / "003" / name).read_bytes()


def test_a_gradient_that_is_not_finite_is_never_applied(small: SftConfig) -> None:
    """The loss may be finite all the same."""
    checkpoint = folders.load(small.base)
    trained = list(tuned(checkpoint, small).values())
    before = [p.detach().clone() for p in trained]
    trained[0].register_hook(lambda grad: grad * float("nan"))
    _, held = examples(small.data, "train", checkpoint)
    rows = [held[place].row([0]) for place in list(held)[:2]]
    with pytest.raises(FloatingPointError, match="gradient is not finite"):
        train_step(checkpoint, rows, trained, torch.optim.SGD(trained, lr=0.1), small, checkpoint.vocabulary)
    assert all(torch.equal(p, kept) for p, kept in zip(trained, before, strict=True))


def test_a_step_without_rows_moves_nothing(small: SftConfig) -> None:
    """Neither weights nor moments, by decay or what went before; two workers as one."""
    for found in (_moved_by_nothing(0, small), *workers.run(_moved_by_nothing, 2, small)):
        assert found == (False, (0, 0))


def _moved_by_nothing(rank: int, config: SftConfig) -> tuple[bool, tuple[float, float]]:
    checkpoint = folders.load(config.base)
    trained = list(tuned(checkpoint, config).values())
    optimiser = torch.optim.AdamW(trained, 0.1)
    _, mine = examples(config.data, "train", checkpoint)
    train_step(checkpoint, [mine[0].row([0])], trained, optimiser, config, checkpoint.vocabulary)
    before = [p.detach().clone() for p in trained], [optimiser.state[p]["exp_avg"].clone() for p in trained]
    found = train_step(checkpoint, [], trained, optimiser, config, checkpoint.vocabulary)
    after = [p.detach() for p in trained], [optimiser.state[p]["exp_avg"] for p in trained]
    pairs = [pair for kept, now in zip(before, after, strict=True) for pair in zip(kept, now, strict=True)]
    return not all(torch.equal(a, b) for a, b in pairs), found


def test_a_step_without_rows_has_no_loss(small: SftConfig, tmp_path: Path) -> None:
    """Not in the mean, and not as the best there is."""
    seen: list[dict[str, float]] = []

    class Heard(FolderSaves):
        def save(self, write, metrics, *, first):
            seen.append(metrics)
            super().save(write, metrics, first=first)

    config = small.model_copy(update={"studies": 1, "epochs": 1})
    position = train(folders.load(config.base), config, Workers(), Heard(tmp_path), None)
    assert position.step == len(seen) == 12
    losses = [metrics["loss"] for metrics in seen if metrics]
    assert 0 < len(losses) < 12
    assert all(loss > 0 for loss in losses)
    assert min(losses) - 1e-3 < position.notes["loss"] < max(losses) + 1e-3


def test_every_worker_holds_its_own_and_together_they_hold_all(small: SftConfig) -> None:
    checkpoint = folders.load(small.base)
    items, alone = examples(small.data, "train", checkpoint)
    assert [item.place for item in items] == sorted(alone) == list(range(12))
    for world_size in (2, 3):
        held = [examples(small.data, "train", checkpoint, rank=r, world=world_size) for r in range(world_size)]
        assert all(listed == items for listed, _ in held)
        assert sorted(place for _, mine in held for place in mine) == sorted(alone)
        for kind in ("images", "volumes"):  # a volume is as much work as several images
            shares = [sum(item.kind == kind and item.place in mine for item in items) for _, mine in held]
            assert max(shares) - min(shares) <= 1, kind


def test_one_batch_is_many_micro_batches_is_two_uneven_workers(small: SftConfig, tmp_path: Path) -> None:
    """Three studies a step over two workers, one of them text alone: the same gradients to 1e-6 (P7, P14)."""
    data = tmp_path / "data"
    world.data(data)
    told = shards.read_questions(data, "train")
    spoken = [replace(q, id=f"{q.id}-text", study="", dimension=3) for q in told[:4]]
    shards.write_questions(data, "train", [*told, *spoken])
    shards.seal(data)
    config = small.model_copy(update={"data": data, "micro_tokens": 10**6})
    once = gradients_of(config, [0, 1, 12])
    for micro in (1, 300):
        found = gradients_of(config.model_copy(update={"micro_tokens": micro}), [0, 1, 12])
        assert largest_difference(found, once) < 1e-6
    for places in ([[0, 1], [12]], [[0, 1, 12], []]):
        for found in workers.run(_worker_gradients, 2, config, places):
            assert largest_difference(found, once) < 1e-6


def test_checkpointing_changes_no_gradient(small: SftConfig) -> None:
    """Rows share their study under a tree mask, and a layer's activations are worked out again (P16)."""
    plain = gradients_of(small, [0, 1, 2])
    assert largest_difference(gradients_of(small.model_copy(update={"checkpointing": True}), [0, 1, 2]), plain) < 1e-6


def _worker_gradients(rank: int, config: SftConfig, places: list[list[int]]) -> dict[str, torch.Tensor]:
    return gradients_of(config, places[rank])


def gradients_of(config: SftConfig, places: list[int]) -> dict[str, torch.Tensor]:
    """Of one step on these studies, summed over workers."""
    checkpoint = folders.load(config.base)
    trained = tuned(checkpoint, config)
    checkpoint.vlm.train()
    _, mine = examples(config.data, "train", checkpoint)
    rows = [mine[place].row(range(len(mine[place].branches))) for place in places]
    kept: dict[str, torch.Tensor] = {}

    class Keep(torch.optim.SGD):
        def step(self, closure=None):
            kept.update({name: whole(p.grad).clone() for name, p in trained.items() if p.grad is not None})

    moved = list(trained.values())
    keep = Keep(sharding.groups(moved), lr=0.0)
    train_step(checkpoint, rows, moved, keep, config, checkpoint.vocabulary)
    return kept


def largest_difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert found.keys() == expected.keys()
    assert any(tensor.abs().max() > 1e-4 for tensor in expected.values())
    return max(float((found[name] - expected[name]).abs().max()) for name in found)


def test_the_tower_is_never_trained_and_the_rest_learns(small: SftConfig, tmp_path: Path) -> None:
    checkpoint = folders.load(small.base)
    tower, head = digest(checkpoint.vlm.model.visual), digest(checkpoint.vlm.lm_head)
    position = train(checkpoint, small.model_copy(update={"epochs": 8}), Workers(), FolderSaves(tmp_path), None)
    assert digest(checkpoint.vlm.model.visual) == tower
    assert digest(checkpoint.vlm.lm_head) != head
    assert position.notes["loss"] < 5.5  # smoothed over the run; a fresh model's is log(700) = 6.6


def test_two_ray_workers_train_what_one_does(small: SftConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = small.model_copy(
        update={"workers": 2, "out": tmp_path / "sft", "results": tmp_path / "m.json", "studies": 12, "epochs": 1}
    )
    first = run(config)
    assert first["steps"] == 1
    trained = weights(config.out)
    train(alone := folders.load(small.base), config, Workers(), FolderSaves(tmp_path / "one"), None)
    for name, p in alone.vlm.named_parameters():
        assert torch.allclose(trained[name], p, atol=2e-5), name
    assert not list((tmp_path / ".cache" / "ray").glob("sft-*"))  # published: asked again, it is made again


def test_a_training_of_other_code_does_not_go_on_from_this_ones_state(tmp_path: Path) -> None:
    for name in ("model/a.py", "components/training/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    before = code(tmp_path)
    assert code(tmp_path) == before
    (tmp_path / "model/a.py").write_text("x = 2\n")
    assert code(tmp_path) != before


def test_data_that_changed_since_it_was_sealed_is_not_trained_on(small: SftConfig, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(small.data, data)
    shard = next(data.glob("train-studies*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(Integrity):
        run(small.model_copy(update={"data": data}))
