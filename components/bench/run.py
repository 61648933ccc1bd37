"""The bench: how much cheaper it is to read a study once, as ratios with proof that the results are equal.

Writes results/bench/<figure>.json. Only ratios travel between machines; seconds are this machine's.
"""

import json
import platform
import sys
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from components.bench.figures import FIGURES
from components.bench.measure import Compared, Comparison, compare
from components.tracking import commit
from model.interface.errors import BadInput
from model.interface.writing import replacing, write_text
from model.vlm import checkpoint as folders


class BenchConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Path = Path("checkpoints/base")
    """Costs depend on its sizes alone: what it has learnt plays no part."""
    repeats: int = Field(default=3, ge=1)
    """The least time counts; one more run warms up."""
    out: Path = Path("results/bench")


def run(config: BenchConfig, names: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Measure and write the named figures, all by default; what their files hold."""
    chosen = {name: _known(name) for name in names or FIGURES}
    checkpoint = folders.load(config.checkpoint)
    written = []
    for name, prepare in chosen.items():
        comparison = prepare(checkpoint)
        compared = compare(name, comparison, config.repeats)
        figure = describe(name, comparison, compared, checkpoint.digest)
        write_text(config.out / f"{name}.json", json.dumps(figure, indent=1) + "\n")
        if compared.picture:
            with replacing(config.out / f"{name}.png") as part:
                compared.picture.save(part, format="PNG", optimize=True)
        ours, peer = figure["ours"]["seconds"], figure["peer"]["seconds"]
        sys.stderr.write(f"bench: {name}: {figure['ratio']} x ({ours:.2f} s, peer {peer:.2f} s)\n")
        written.append(figure)
    return written


def describe(name: str, comparison: Comparison, compared: Compared, checkpoint: str) -> dict[str, Any]:
    """The published form of a figure. ratio: the peer's seconds in ours, higher is better."""
    ours, peer = (asdict(cost) | {"seconds": float(f"{cost.seconds:.4g}")} for cost in (compared.ours, compared.peer))
    return {
        "figure": name,
        "ratio": round(compared.peer.seconds / compared.ours.seconds, 2),
        "ours": ours,
        "peer": peer,
        "peer_is": comparison.peer_is,
        "equal": {"max_abs_diff": compared.max_abs_diff, "tolerance": comparison.tolerance},
        "n": comparison.n,
        "machine": machine(),
        "commit": commit(),
        "checkpoint": comparison.model or checkpoint,
        "command": f"python -m components.bench {name}",
    }


def _known(name: str) -> Any:
    if name in FIGURES:
        return FIGURES[name]
    near = get_close_matches(name, FIGURES, n=1) or list(FIGURES)
    raise BadInput(f"no figure '{name}'", where="python -m components.bench", next=f"one of: {', '.join(near)}")


def machine() -> str:
    return f"{_cpu()}, 1 thread, torch {torch.__version__}"


def _cpu() -> str:
    """Its model's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
