"""What a step costs on this worker: seconds by phase, tokens a second, memory, share of the device's arithmetic.

    meter = Meter(checkpoint.vlm)
    with meter("update"): …
    drawn.log(step, figures | meter.figures())

A token's arithmetic is 2 operations a weight that it goes through, 2 for its way back, and 2 where the weight is
trained (arXiv 2001.08361, section 2.1); attention's is of pairs of which one looks at the other (`Row.pairs`). The head
counts where a token is predicted. Work done again under checkpointing doesn't count, as is usual for MFU; the tower is
frozen and has its tokens kept.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from model.learning.packing import Row

PEAK = {
    "A100": 312e12,
    "L40S": 362e12,
    "H100": 989e12,
    "H200": 989e12,
    "H20": 148e12,
    "B200": 2250e12,
}
"""Dense bfloat16 FLOP/s by a part of the device's name, as NVIDIA's data sheets have it."""


class Meter:
    def __init__(self, vlm: Any) -> None:
        weights = list(vlm.parameters())
        language = vlm.model.language_model
        self.device = weights[0].device
        self.peak = peak_of(self.device)
        self.layers, self.width = language.config.num_hidden_layers, language.config.hidden_size
        self.each = _operations(language.layers)
        self.head = _operations(vlm.lm_head)
        self._begin()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = self._now()
        yield
        self.seconds[phase] = self.seconds.get(phase, 0.0) + self._now() - began

    def count(self, rows: Sequence[Row]) -> None:
        """These rows went forward and back."""
        for row in rows:
            self.tokens += len(row)
            self.predicted += sum(sum(branch.trained) for branch in row.branches)
            self.pairs += row.pairs
            self.rows += 1

    def figures(self) -> dict[str, float]:
        """Of the step since the last call; MFU only where the device's peak is known. Memory is the largest so far."""
        seconds = self._now() - self.began
        told = {
            "speed/seconds": seconds,
            "speed/tokens_per_s": self.tokens / seconds,
            "speed/rows_per_s": self.rows / seconds,
            "speed/memory_gb": self._memory() / 1e9,
        }
        told |= {f"speed/seconds_{phase}": spent for phase, spent in self.seconds.items()}
        if self.peak:
            told["speed/mfu"] = self.flops() / seconds / self.peak
        self._begin()
        return told

    def flops(self) -> float:
        """Of everything counted since the last figures."""
        return self.each * self.tokens + self.head * self.predicted + 3 * self.attended()

    def attended(self) -> float:
        """Of attention, forward."""
        return 4 * self.layers * self.width * self.pairs

    def _begin(self) -> None:
        self.began = self._now()
        self.seconds: dict[str, float] = {}
        self.tokens = self.predicted = self.rows = 0
        self.pairs = 0.0

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # what was asked for is done
        return time.perf_counter()

    def _memory(self) -> float:
        """Bytes."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # KiB on Linux


def _operations(module: torch.nn.Module) -> int:
    """Of its weights and a token, there and back."""
    return sum(
        (6 if p.requires_grad else 4) * _size(part, name, p)
        for part in module.modules()
        for name, p in part.named_parameters(recurse=False)
    )


def _size(part: torch.nn.Module, name: str, p: torch.nn.Parameter) -> int:
    """Weights in a tensor; one kept in 4 bits has two in a byte, and only its layer knows its shape."""
    return part.in_features * part.out_features if isinstance(part, torch.nn.Linear) and name == "weight" else p.numel()


def peak_of(device: torch.device) -> float | None:
    """FLOP/s, None where the device isn't listed; a CPU isn't."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((PEAK[part] for part in sorted(PEAK, key=len, reverse=True) if part in name), None)
