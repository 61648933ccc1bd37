"""Sums over workers: gradients and counts. One process needs none of it.

No DDP wrapper: workers may hold different numbers of tokens, or none at all, so each adds its share
of the global token mean and the shares are summed. Equal to one process with the whole batch.
What `sharding` has spread is summed by FSDP itself, on the way back.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor

BUCKET = 64 << 20
"""Numbers that are summed in one go."""


def total(*values: float) -> list[float]:
    """Each value summed over all workers."""
    if not many():
        return list(values)
    return _reduced(values, distributed.ReduceOp.SUM)


def most(value: float) -> float:
    """The largest of the workers' values."""
    return _reduced([value], distributed.ReduceOp.MAX)[0] if many() else value


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its sum over workers; a worker without one adds zero."""
    if not many():
        return
    trained = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
    for some in _buckets(trained):
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in some])
        distributed.all_reduce(flat)
        for p, part in zip(some, flat.split([p.numel() for p in some]), strict=True):
            p.grad = part.view_as(p).clone()


def _buckets(parameters: Iterable[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """In order, so many that their sum is sent at once without a second copy of everything."""
    some: list[torch.nn.Parameter] = []
    for p in parameters:
        if some and (sum(q.numel() for q in some) + p.numel() > BUCKET or p.dtype != some[0].dtype):
            yield some
            some = []
        some.append(p)
    if some:
        yield some


def clip_gradients(parameters: Sequence[torch.nn.Parameter], norm: float) -> None:
    """Scale all gradients so that together they are at most `norm` long; spread ones count as a whole."""
    grads = [p.grad for p in parameters if p.grad is not None]
    spread = [grad.to_local() for grad in grads if isinstance(grad, DTensor)]
    if not spread:
        torch.nn.utils.clip_grad_norm_(parameters, norm)
        return
    whole = [grad for grad in grads if not isinstance(grad, DTensor)]
    (squares,) = total(float(_squares(spread)))
    length = (squares + float(_squares(whole))) ** 0.5
    if length > norm:
        for grad in [*spread, *whole]:
            grad.mul_(norm / (length + 1e-6))


def finite(parameters: Iterable[torch.nn.Parameter]) -> bool:
    """On every worker: a loss may be finite where its gradient isn't, behind a clip."""
    grads = (p.grad.to_local() if isinstance(p.grad, DTensor) else p.grad for p in parameters if p.grad is not None)
    (amiss,) = total(float(not all(bool(grad.isfinite().all()) for grad in grads)))
    return amiss == 0


def many() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def _squares(grads: Iterable[Tensor]) -> Tensor:
    return sum((grad.double().square().sum() for grad in grads), torch.zeros((), dtype=torch.float64))


def _reduced(values: Sequence[float], how: distributed.ReduceOp.RedOpType) -> list[float]:
    # NCCL sums only what is on a GPU
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    reduced = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(reduced, how)
    return reduced.tolist()
