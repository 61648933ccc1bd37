"""Rollouts by a pool of engines, an actor a device, behind `RolloutBackend`.

    with cluster(num_cpus=2), RolloutPool(folder, engines=2) as pool:
        pool.load(weights, version=1)
        generated = pool.generate(asked, Sampling(temperature=1.0, seed=3))

A study's questions and samples go to one engine, which reads it once. Samples depend on their seeds alone, so a pool
gives the answers that one engine gives. Every engine says which weights it used: one that was restarted, and so fell
back to the folder's, is given the current ones and asked again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from model.interface.errors import Conflict, Failure
from model.vlm import checkpoint as folders
from model.vlm.backend import Asked, Generated, LocalEngine
from model.vlm.features import Features
from model.vlm.rollout import Rollout
from model.vlm.sampling import Sampling
from model.vlm.shelf import Shelf


class RolloutPool:
    """Needs a running cluster."""

    def __init__(
        self, folder: Path, engines: int, *, gpus: float = 0, cpus: float = 1, shelf: Shelf | None = None
    ) -> None:
        """folder: a checkpoint every machine can read. gpus, cpus: of each engine. shelf: of visual tokens, each
        machine's own."""
        import ray

        actor = ray.remote(num_gpus=gpus, num_cpus=cpus, max_restarts=1, max_task_retries=1)(_Actor)
        device = "cuda" if gpus else "cpu"
        self._engines: list[Any] = [actor.remote(str(folder.resolve()), device, shelf) for _ in range(engines)]
        self.version = 0
        self._weights: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        for engine in self._engines:
            ray.kill(engine)

    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Sent once, shared by all engines. Raises Conflict, see `RolloutBackend`."""
        import ray

        self._weights = ray.put({name: tensor.detach().cpu() for name, tensor in weights.items()})
        refused = ray.get([engine.load.remote(self._weights, version) for engine in self._engines])
        if told := next(filter(None, refused), None):
            raise Conflict(told[0], where=told[1], next=told[2])
        self.version = version

    def generate(self, asked: Asked, sampling: Sampling) -> Generated:
        """Raises Failure where an engine doesn't come to the current weights."""
        import ray

        parts = divided(asked, len(self._engines))
        busy = [(engine, part) for engine, part in zip(self._engines, parts, strict=True) if part]
        made = ray.get([engine.generate.remote([asked[i] for i in part], sampling) for engine, part in busy])
        rollouts: dict[int, Rollout] = {}
        for (engine, part), generated in zip(busy, made, strict=True):
            current = generated if generated.version == self.version else self._again(engine, asked, part, sampling)
            rollouts |= zip(part, current.rollouts, strict=True)
        return Generated([rollouts[i] for i in range(len(asked))], self.version)

    def _again(self, engine: Any, asked: Asked, part: Sequence[int], sampling: Sampling) -> Generated:
        import ray

        if self._weights is not None:
            ray.get(engine.load.remote(self._weights, self.version))
        [generated] = ray.get([engine.generate.remote([asked[i] for i in part], sampling)])
        if generated.version != self.version:
            raise Failure(
                "an engine keeps answering with other weights",
                where=f"rollout pool: found version {generated.version}, wanted {self.version}",
                next="start the pool again",
            )
        return generated


def divided(asked: Asked, engines: int) -> list[list[int]]:
    """Places of the questions each engine gets: whole studies, the largest first to whoever has least."""
    studies: dict[int, list[int]] = {}
    for i, (prepared, _) in enumerate(asked):
        studies.setdefault(id(prepared), []).append(i)
    parts: list[list[int]] = [[] for _ in range(engines)]
    for places in sorted(studies.values(), key=len, reverse=True):
        min(parts, key=len).extend(places)
    return [sorted(part) for part in parts]


class _Actor:
    """An engine in a process of its own."""

    def __init__(self, folder: str, device: str, shelf: Shelf | None) -> None:
        import torch

        torch.set_num_threads(1)
        checkpoint = folders.load(Path(folder), device)
        checkpoint.vlm.requires_grad_(False)  # it is handed weights, and trains none
        self.engine = LocalEngine(checkpoint, Features(shelf=shelf))

    def load(self, weights: Mapping[str, Tensor], version: int) -> tuple[str, str, str] | None:
        """Why not (what, where, next), as a value: a failure of ours doesn't travel between processes."""
        try:
            self.engine.load(weights, version)
        except Conflict as conflict:
            return conflict.what, conflict.where, conflict.next
        return None

    def generate(self, asked: Asked, sampling: Sampling) -> Generated:
        made = self.engine.generate(asked, sampling)
        owned: dict[int, list[Tensor]] = {}

        def own(rollout: Rollout) -> Rollout:
            """Views travel with all of what they are views of: copies don't."""
            key = id(rollout.pictures)
            owned.setdefault(key, [tokens.clone().cpu() for tokens in rollout.pictures])
            return replace(rollout, pictures=owned[key], features=[f.clone().cpu() for f in rollout.features])

        return replace(made, rollouts=[own(rollout) for rollout in made.rollouts])
