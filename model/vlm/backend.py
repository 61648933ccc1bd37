"""Who makes rollouts: one interface, the engine in this process behind it.

A trainer asks for answers and hands over new weights; every batch of answers says which weights made it. The pool of
engines on many devices is `components.training.rollout_pool`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from model.imaging.prepare import Prepared
from model.interface.errors import Conflict
from model.interface.question import Question
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import roll_out
from model.vlm.features import Features, Tower
from model.vlm.rollout import Rollout
from model.vlm.sampling import Sampling

Asked = Sequence[tuple[Prepared, Question]]


@dataclass(frozen=True, slots=True)
class Generated:
    rollouts: list[Rollout]
    """In the order of asking."""
    version: int
    """Of the weights that made all of them."""


class RolloutBackend(Protocol):
    version: int
    """Of the weights in use; 0 as opened."""

    def generate(self, asked: Asked, sampling: Sampling) -> Generated:
        """Answer every question; ask one several times to sample a group."""
        ...

    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Go on with these weights, by name; those that aren't named stay. Raises Conflict on an older version."""
        ...


class LocalEngine:
    """Rollouts in this process; visual tokens are kept for as long as the tower stays what it is."""

    def __init__(self, checkpoint: Checkpoint, features: Features | None = None) -> None:
        self.checkpoint, self.version = checkpoint, 0
        self.features, self.tower = features or Features(), Tower(checkpoint.vlm)

    def generate(self, asked: Asked, sampling: Sampling) -> Generated:
        told = roll_out(self.checkpoint, asked, sampling, features=self.features, tower=self.tower)
        return Generated(told, self.version)

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        own = dict(self.checkpoint.vlm.named_parameters())
        if version <= self.version or (unknown := sorted(set(weights) - set(own))[:3]):
            found = f"version {version}" if version <= self.version else f"weights {', '.join(unknown)}"
            raise Conflict(
                "these weights can't follow the ones in use",
                where=f"rollout backend: found {found}, wanted a version above {self.version} and known names",
                next="start the engines again from the trainer's checkpoint",
            )
        for name, tensor in weights.items():
            own[name].copy_(tensor)
        self.version = version
