"""Two ways to the same numbers: are they the same, and what does each cost?

Costs are CPU seconds of the one thread that works, so that other work on the machine counts little. The two
ways take turns, after a warm-up that shows whether they agree and how much memory each takes.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model.interface.errors import Failure


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both ways give the same tensor, or comparing their costs would mean nothing: unless there is nothing to be equal
    to, as where the peer shows something worse."""

    ours: Callable[[], Tensor]
    peer: Callable[[], Tensor]
    peer_is: str
    """What the peer does differently, in one sentence."""
    n: int
    """Answers each way makes or learns from."""
    tolerance: float | None = 1e-4
    """Largest absolute difference that another order of fp32 sums may make; None where the two may differ."""
    picture: Callable[[Tensor, Tensor], Image.Image] | None = None
    """What each gave, (ours, peer), side by side."""
    once: bool = False
    """A run takes minutes: the one that shows whether they agree is the one that is timed."""
    model: str = ""
    """What it ran on, where that isn't the checkpoint."""


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    """CPU seconds of one run, the least of several."""
    memory_mb: int | None
    """Most memory of the whole process while it ran; None where the system doesn't tell (it is not Linux)."""


@dataclass(frozen=True, slots=True)
class Compared:
    ours: Cost
    peer: Cost
    max_abs_diff: float
    picture: Image.Image | None


def compare(name: str, comparison: Comparison, repeats: int) -> Compared:
    """Raises Failure when the two ways disagree."""
    torch.set_num_threads(1)
    ours, ours_mb, first = measured(comparison.ours)
    peer, peer_mb, peers_first = measured(comparison.peer)
    apart = _apart(ours, peer)
    if comparison.tolerance is not None and not apart <= comparison.tolerance:
        raise Failure(
            "the two ways disagree, so their costs can't be compared",
            where=f"{name}, largest difference {apart:.2g}, wanted at most {comparison.tolerance:g}",
            next="pytest tests/model",
        )
    picture = comparison.picture(ours, peer) if comparison.picture else None
    seconds = [(_seconds(comparison.ours), _seconds(comparison.peer)) for _ in range(0 if comparison.once else repeats)]
    seconds = seconds or [(first, peers_first)]
    least_ours, least_peer = (min(column) for column in zip(*seconds, strict=True))
    return Compared(Cost(least_ours, ours_mb), Cost(least_peer, peer_mb), apart, picture)


def _seconds(work: Callable[[], Tensor]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _apart(ours: Tensor, peer: Tensor) -> float:
    """Largest difference; NaN where one is finite and the other isn't. What both ban (-inf) is equal."""
    banned = ours.isneginf() & peer.isneginf()
    return float((ours - peer).masked_fill(banned, 0.0).abs().max())


def measured(work: Callable[[], Tensor]) -> tuple[Tensor, int | None, float]:
    """What it gives, the process's peak of resident memory meanwhile, MB, and its CPU seconds."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far, see proc(5)
    began = time.thread_time()
    given = work()
    return given, _peak_mb(), time.thread_time() - began


def _peak_mb() -> int | None:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), None)
