"""Sums over workers: gradients and counts. One process needs none of it.

No DDP wrapper: workers may hold different numbers of tokens, or none at all, so each adds its share
of the global token mean and the shares are summed. Equal to one process with the whole batch.
"""

from collections.abc import Iterable

import torch
from torch import distributed


def total(*values: float) -> list[float]:
    """Each value summed over all workers."""
    if not _many():
        return list(values)
    # NCCL sums only what is on a GPU
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(summed)
    return summed.tolist()


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its sum over workers; a worker without one adds zero."""
    if not _many():
        return
    trained = [p for p in parameters if p.requires_grad]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
    distributed.all_reduce(flat)
    for p, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
        p.grad = part.view_as(p).clone()


def _many() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
