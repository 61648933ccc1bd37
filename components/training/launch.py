"""Running a training loop under Ray Train: any number of workers, resumed by the same call.

The run's name holds a digest of params, inputs and code: the same training goes on where it stopped,
anything else changed is another run. What is published is no longer kept: asked again, it is made again.
States are ours (`states`), not Ray's: they are verified, and another's damage to one costs the steps since the one
before. Ray starts the workers, and starts them again when one dies or their number changes.
"""

import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from components.cluster import cluster
from components.training import estimate, ownership, runs, strategies
from components.training.config import TrainingConfig
from components.training.progress import Position
from components.training.states import States
from model.imaging import shards
from model.interface.errors import Failure
from model.interface.writing import write_text
from model.vlm.checkpoint import Checkpoint

STORAGE = Path(".cache/ray")
HEARD = "progress.txt"
"""What the first worker says, beside its states: a worker's own stderr may be on another machine."""
BEAT = "driver.txt"
DECIDES_NOTHING = {"workers", "resize_s", "threads", "out", "results", "address", "device_gb", "keep", "features_gb"}
"""Fields that a run may be gone on with otherwise."""

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

    start: the config's field that names the checkpoint the training starts from. Raises Conflict where another
    process trains what goes to the same folder, BadInput as `estimate.check` does.
    """
    with ownership.sole_driver(config.out, stage):
        begin: Path = getattr(config, start)
        shards.verify(config.data)
        estimate.check(stage, begin, config)
        same = config.model_dump(exclude=DECIDES_NOTHING)
        out = runs.output(STORAGE, config.out)
        key = run_key(stage, out, same, strategies.vouched(begin), (config.data / "manifest.json").read_text(), code())
        run = STORAGE.resolve() / f"{stage}-{out}-{key}"
        runs.begin(run, _tell)
        states = States(run / "states", config.keep, config.best)
        _fit(stage, run, states, _work(stage, start, config, train, run, key), config)
        state = states.chosen(_tell)
        assert state is not None  # every training saves after its last step
        digest, position = strategies.publish(begin, config, state, config.out)
        metrics = {"checkpoint": digest, "steps": position.step, "tokens": position.tokens, **position.notes}
        write_text(config.results, json.dumps(metrics, indent=1) + "\n")
        runs.published(run)
        return metrics


def _work(stage: str, start: str, config: TrainingConfig, train: Loop, run: Path, key: str) -> Callable[[], None]:
    """What each worker does."""
    # workers run in another folder, and a stage's classes may live in `__main__`: the class travels, with plain values
    cls, begin = type(config), getattr(config, start)
    told = config.model_dump(mode="json") | {start: str(begin.resolve() if begin.exists() else begin)}
    told["data"] = str(config.data.resolve())

    def work() -> None:
        import ray.train

        ownership.follow(run / BEAT)
        context, here = ray.train.get_context(), cls.model_validate(told)
        torch.set_num_threads(here.threads)
        checkpoint = strategies.open_base(getattr(here, start), here, "cuda" if here.gpu else "cpu")
        workers = Workers(context.get_world_rank(), context.get_world_size())
        saves = RaySaves(run / HEARD, workers, States(run / "states", here.keep, here.best))
        train(checkpoint, here, workers, saves, curves(stage, key, here, workers.rank))

    return work


def _fit(stage: str, run: Path, states: States, work: Callable[[], None], config: TrainingConfig) -> None:
    """Run it under Ray Train."""
    with cluster(num_cpus=config.most, address=config.address):
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchConfig, TorchTrainer

        shutil.rmtree(run / "ray", ignore_errors=True)  # an attempt's own files: states are elsewhere
        (run / HEARD).write_text("")
        trainer = TorchTrainer(
            work,
            torch_config=TorchConfig(backend="nccl" if config.gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=config.workers,
                elastic_resize_monitor_interval_s=config.resize_s,
                use_gpu=config.gpu,
                resources_per_worker={"GPU": 1} if config.gpu else {"CPU": 1},
            ),
            run_config=RunConfig(
                name="attempt", storage_path=str(run / "ray"), failure_config=FailureConfig(max_failures=3)
            ),
        )
        with ownership.beating(run / BEAT), _repeating(run / HEARD):
            try:
                trainer.fit()
            except TrainingFailedError as error:
                last = states.last()
                raise Failure(
                    f"{stage} did not finish: {_reason(error)}",
                    where=f"{STORAGE}/{run.name}",
                    safe=f"the state of {last.name} is kept" if last else "nothing was trained yet, or changed",
                    next=f"urm train {stage} goes on from it",
                ) from error


def _reason(error: Exception) -> str:
    """Who failed, and its last words."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    rank, told = next(iter(sorted(failures.items())), (None, error))
    lines = [line.strip() for line in str(told).splitlines() if line.strip()]
    return f"{'' if rank is None else f'worker {rank}: '}{lines[-1][:200] if lines else 'it died'}"


@dataclass(frozen=True, slots=True)
class Workers:
    rank: int = 0
    world: int = 1


class RaySaves:
    """A run's states, written by its first worker. A save is a barrier: every worker calls it."""

    def __init__(self, heard: Path, workers: Workers, states: States) -> None:
        self.heard, self.workers, self.states = heard, workers, states

    def say(self, line: str) -> None:
        """One line of progress, from the first worker."""
        if self.workers.rank == 0:
            with self.heard.open("a") as file:
                file.write(line + "\n")

    def last(self) -> Path | None:
        """The newest whole state."""
        return self.states.last(self.say)

    def save(self, write: Callable[[Path], None], metrics: Mapping[str, float], *, first: bool) -> None:
        """write: fills a folder; called on the first worker only."""
        import ray.train

        if first:
            self.states.write(write, metrics)
        ray.train.report(dict(metrics))


def curves(stage: str, key: str, config: BaseModel, rank: int) -> Any:
    """Live curves, from the first worker only."""
    if rank:
        return None
    from components.tracking import Curves

    return Curves(stage, key, config.model_dump(mode="json"))


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


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
