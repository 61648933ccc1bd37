"""Where a training stands: weights, optimiser, random state and position, written and read whole.

safetensors and JSON only. A state is exact: resuming gives the same next batch, the same random
numbers and, on a CPU, the same weights bit for bit. It is the same file whoever the weights were spread over.

    weights.safetensors     what moves, by name          optimiser.safetensors   {name}/{exp_avg, exp_avg_sq, step}
    random.safetensors      torch, numpy, every GPU      position.json           step, tokens, notes, what is in hand

The step is the cursor of the sampler and of the rate, which are functions of it. Random state is the first worker's:
nothing in a loop draws from it, samples have seeds of their own.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter

from components.training.sharding import share_of, whole

WEIGHTS, OPTIMISER, RANDOM, POSITION = (
    "weights.safetensors",
    "optimiser.safetensors",
    "random.safetensors",
    "position.json",
)


@dataclass(slots=True)
class Position:
    step: int = 0
    """Optimiser steps done."""
    tokens: float = 0.0
    """Trained tokens seen, over all workers."""
    notes: dict[str, float] = field(default_factory=dict)
    """Running figures a stage wants back."""
    hand: dict[str, Any] = field(default_factory=dict)
    """What else a stage has in hand, as JSON, such as which alarms ring."""


@dataclass(frozen=True, slots=True)
class State:
    """A training at one moment, on the CPU."""

    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]

    def write(self, folder: Path, position: Position) -> None:
        save_file(self.weights, folder / WEIGHTS)
        save_file(self.optimiser, folder / OPTIMISER)
        save_file(_random(), folder / RANDOM)
        (folder / POSITION).write_text(json.dumps(asdict(position)))


def snapshot(trained: Mapping[str, Parameter], optimiser: torch.optim.Optimizer, *, keep: bool = True) -> State:
    """Every worker calls it, because spread weights are gathered; only who keeps them has them."""
    weights, moments = {}, {}
    for name, p in trained.items():
        for key, tensor in {"": p.detach(), **optimiser.state[p]}.items():
            found = whole(tensor)
            if keep:
                place, at = (moments, f"{name}/{key}") if key else (weights, name)
                place[at] = found.cpu().contiguous()
    return State(weights, moments)


def write(folder: Path, trained: Mapping[str, Parameter], optimiser: torch.optim.Optimizer, position: Position) -> None:
    """Where nothing is spread: a snapshot, written."""
    snapshot(trained, optimiser).write(folder, position)


@torch.no_grad()
def read(folder: Path, trained: Mapping[str, Parameter], optimiser: torch.optim.Optimizer | None = None) -> Position:
    """Put everything back; the optimiser's settings stay those it was made with. None: only the weights."""
    for name, kept in load_file(folder / WEIGHTS).items():
        trained[name].copy_(share_of(kept, trained[name]))
    if optimiser:
        for name, kept in load_file(folder / OPTIMISER).items():
            parameter, key = name.rsplit("/", 1)
            p = trained[parameter]
            optimiser.state[p][key] = share_of(kept, p.detach()) if kept.shape == p.shape else kept
        _put_random(load_file(folder / RANDOM))
    return Position(**json.loads((folder / POSITION).read_text()))


def step_of(folder: Path) -> int:
    return int(json.loads((folder / POSITION).read_text())["step"])


def _random() -> dict[str, Tensor]:
    _, keys, at, has_gauss, gauss = np.random.get_state()
    told = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64)),
        "numpy_at": torch.tensor([float(at), float(has_gauss), float(gauss)], dtype=torch.float64),
    }
    if torch.cuda.is_available():
        told |= {f"cuda/{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return told


def _put_random(told: dict[str, Tensor]) -> None:
    torch.set_rng_state(told["torch"])
    at, has_gauss, gauss = told["numpy_at"].tolist()
    np.random.set_state(("MT19937", told["numpy"].numpy().astype(np.uint32), int(at), int(has_gauss), gauss))
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            if f"cuda/{i}" in told:  # fewer devices may have been there
                torch.cuda.set_rng_state(told[f"cuda/{i}"], i)
