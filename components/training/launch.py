"""Running a training loop under Ray Train: any number of workers, resumed by the same call.

The run's name holds a digest of params, inputs and code: the same training goes on where it stopped,
anything else changed is another run. What is published is no longer kept: asked again, it is made again.
"""

import hashlib
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from components.cluster import cluster
from components.training import progress
from components.training.progress import Position
from model.imaging import shards
from model.interface.errors import Failure
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint

STORAGE = Path(".cache/ray")
HEARD = "progress.txt"
"""What the first worker says, beside its checkpoints: a worker's own stderr may be on another machine."""


class TrainingConfig(BaseModel):
    """What every training has; a stage adds its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    out: Path
    results: Path
    micro_tokens: int = Field(default=4096, ge=1)
    """Tokens that go through the model together; a longer row goes alone."""
    workers: int = Field(default=2, ge=1)
    threads: int = Field(default=1, ge=1)
    """Of each worker."""
    gpu: bool = False


Loop = Callable[[Checkpoint, Any, "Workers", Any, Any], Position]
"""(checkpoint, config, workers, saves, curves) -> where the training ended."""


def run_key(*parts: Any) -> str:
    """Digest of whatever makes a training what it is, 16 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def code(root: Path = Path(__file__).parents[2]) -> str:
    """Digest of all code a training runs through: readers of files are not."""
    found = hashlib.sha256()
    files = {*root.glob("model/**/*.py"), *root.glob("components/training/*.py")}
    for file in sorted(files - {*root.glob("model/imaging/reading/*.py")}):
        found.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return found.hexdigest()


def launch(stage: str, start: str, config: TrainingConfig, train: Loop) -> dict[str, Any]:
    """Train a stage and publish its checkpoint; what its metrics file holds.

    start: the config's field that names the checkpoint the training starts from.
    """
    begin: Path = getattr(config, start)
    shards.verify(config.data)
    same = config.model_dump(exclude={"workers", "threads", "out", "results"})
    key = run_key(stage, same, folders.verify(begin), (config.data / "manifest.json").read_text(), code())
    heard = STORAGE.resolve() / f"{stage}-{key}" / HEARD
    # workers run in another folder, and a stage's classes may live in `__main__`: the class travels, with plain values
    cls, told = type(config), config.model_dump(mode="json") | {start: str(begin.resolve())}
    told["data"] = str(config.data.resolve())

    def work() -> None:
        import ray.train

        context, here = ray.train.get_context(), cls.model_validate(told)
        torch.set_num_threads(here.threads)
        checkpoint = folders.load(getattr(here, start), "cuda" if here.gpu else "cpu")
        workers = Workers(context.get_world_rank(), context.get_world_size())
        train(checkpoint, here, workers, RaySaves(heard, workers), curves(stage, key, here, workers.rank))

    state = _fit(stage, heard, work, config)
    metrics = _finish(state, begin, config.out, config.results)
    shutil.rmtree(heard.parent)
    return metrics


def _fit(stage: str, heard: Path, work: Callable[[], None], config: TrainingConfig) -> Path:
    """Run it under Ray Train; the folder of the last state (see `progress`)."""
    name, storage = heard.parent.name, heard.parent.parent
    with cluster(num_cpus=config.workers):
        from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        for old in storage.glob(f"{stage}-*"):
            if old.name != name:
                shutil.rmtree(old)
        heard.parent.mkdir(parents=True, exist_ok=True)
        heard.write_text("")
        trainer = TorchTrainer(
            work,
            torch_config=TorchConfig(backend="nccl" if config.gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=config.workers,
                use_gpu=config.gpu,
                resources_per_worker={"GPU": 1} if config.gpu else {"CPU": 1},
            ),
            run_config=RunConfig(
                name=name,
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=3),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
            ),
        )
        with _repeating(heard):
            try:
                result = trainer.fit()
            except TrainingFailedError as error:
                reasons = [line for line in str(error).splitlines() if line.strip()]
                raise Failure(
                    f"{stage} did not finish: {reasons[-1].strip()[:200] if reasons else 'a worker died'}",
                    where=f"{STORAGE}/{name}",
                    safe="the last checkpoint is kept",
                    next=f"urm train {stage} goes on from it",
                ) from error
    assert result.checkpoint is not None  # every training saves after its last step
    return Path(result.checkpoint.path)


def _finish(state: Path, base: Path, out: Path, results: Path) -> dict[str, Any]:
    """Turn the last state of a training into a checkpoint folder and a metrics file."""
    checkpoint = folders.load(base)
    freeze_tower(checkpoint.vlm)
    trained = trainable(checkpoint)
    position = progress.read(state, trained, torch.optim.AdamW(trained.values()))
    digest = folders.save(checkpoint, out)
    metrics = {"checkpoint": digest, "steps": position.step, "tokens": position.tokens, **position.notes}
    write_text(results, json.dumps(metrics, indent=1) + "\n")
    return metrics


def trainable(checkpoint: Checkpoint) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in checkpoint.vlm.named_parameters() if p.requires_grad}


@dataclass(frozen=True, slots=True)
class Workers:
    rank: int = 0
    world: int = 1


class RaySaves:
    """States kept by Ray Train: a save is a barrier, every worker calls it."""

    def __init__(self, heard: Path, workers: Workers) -> None:
        self.heard, self.workers = heard, workers

    def say(self, line: str) -> None:
        """One line of progress, from the first worker."""
        if self.workers.rank == 0:
            with self.heard.open("a") as file:
                file.write(line + "\n")

    def last(self) -> Path | None:
        import ray.train

        found = ray.train.get_checkpoint()
        return Path(found.path) if found else None

    def save(self, write: Any, metrics: dict[str, float], *, first: bool) -> None:
        """write: fills a folder; called on the first worker only."""
        import ray.train

        if not first:
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def curves(stage: str, key: str, config: BaseModel, rank: int) -> Any:
    """Live curves, from the first worker only."""
    if rank:
        return None
    from components.tracking import Curves

    return Curves(stage, key, config.model_dump(mode="json"))


@contextmanager
def _repeating(told: Path) -> Iterator[None]:
    """Copy what is added to a file to stderr, as it comes."""
    done = threading.Event()

    def repeat() -> None:
        with told.open() as file:
            last = False
            while not last:
                last = done.wait(1.0)
                sys.stderr.write(file.read())
                sys.stderr.flush()

    listener = threading.Thread(target=repeat, daemon=True)
    listener.start()
    try:
        yield
    finally:
        done.set()
        listener.join()
