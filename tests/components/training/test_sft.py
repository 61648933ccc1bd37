"""The loop on a small world: resuming, coverage, frozen tower; once under real Ray with two workers."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from components.training import progress
from components.training.examples import cases, example
from components.training.launch import Workers, code
from components.training.sft import Plan, SftConfig, run, train
from model.interface.errors import Integrity
from model.vlm import checkpoint as folders
from tests.components import world


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


def test_every_study_is_taken_once_an_epoch_whatever_the_workers(small: SftConfig) -> None:
    checkpoint = folders.load(small.base)
    for world_size in (1, 2, 3):
        seen: Counter[int] = Counter()
        kept = []  # an id is one study's only while that study lives
        for rank in range(world_size):
            mine = [example(c, checkpoint) for c in cases(small.data, "train", checkpoint, rank=rank, world=world_size)]
            kept.append(mine)
            plan = Plan(mine, small.model_copy(update={"studies": 4}), Workers(rank, world_size))
            plan.per_epoch, plan.steps = 3, 6
            for _, rows in plan.batches(0):
                seen.update(hash(tuple(row.branches[0].ids)) ^ id(row.shared) for row in rows)
        assert set(seen.values()) == {2}
        assert len(seen) == 12


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
    assert not list((tmp_path / ".cache" / "ray").iterdir())  # published: asked again, it is made again


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
