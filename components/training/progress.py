"""Where a training stands: weights, optimiser, random state and position, written and read whole.

safetensors and JSON only. A state is exact: resuming gives the same next batch, the same random
numbers and, on a CPU, the same weights bit for bit.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

WEIGHTS, OPTIMISER, POSITION = "weights.safetensors", "optimiser.safetensors", "position.json"


@dataclass(slots=True)
class Position:
    step: int = 0
    """Optimiser steps done."""
    tokens: float = 0.0
    """Trained tokens seen, over all workers."""
    notes: dict[str, float] = field(default_factory=dict)
    """Running figures a stage wants back."""


def write(
    folder: Path, trained: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer, position: Position
) -> None:
    """trained: name -> parameter, the ones the optimiser holds, in its order."""
    save_file({name: p.detach().contiguous() for name, p in trained.items()}, folder / WEIGHTS)
    state = optimiser.state_dict()["state"]
    flat = {f"{i}/{key}": value.contiguous() for i, kept in state.items() for key, value in kept.items()}
    save_file(flat, folder / OPTIMISER)
    told = {"step": position.step, "tokens": position.tokens, "notes": position.notes}
    told["torch_rng"] = torch.get_rng_state().tolist()
    (folder / POSITION).write_text(json.dumps(told))


def read(folder: Path, trained: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> Position:
    """Put everything back; the optimiser's settings stay those it was made with."""
    with torch.no_grad():
        for name, kept in load_file(folder / WEIGHTS).items():
            trained[name].copy_(kept)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, kept in load_file(folder / OPTIMISER).items():
        i, key = name.split("/")
        state.setdefault(int(i), {})[key] = kept
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    told = json.loads((folder / POSITION).read_text())
    torch.set_rng_state(torch.tensor(told["torch_rng"], dtype=torch.uint8))
    return Position(told["step"], told["tokens"], told["notes"])
