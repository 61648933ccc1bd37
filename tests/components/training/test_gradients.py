"""Two real gloo processes with uneven shares, one of them empty, against one process with everything."""

import socket

import torch
import torch.multiprocessing as mp
from torch import distributed, nn

from components.training.gradients import sum_gradients, total

X = torch.arange(12.0).view(6, 2) / 10


def loss_of(model: nn.Module, rows: torch.Tensor, count: float) -> torch.Tensor:
    return (model(rows) ** 2).sum() / count


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def gradient(p: torch.Tensor) -> torch.Tensor:
    assert p.grad is not None
    return p.grad.clone()


def share(rank: int, world: int, port: int, cuts: list[int], out) -> None:
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    mine, net = X[cuts[rank] : cuts[rank + 1]], model()
    (count,) = total(len(mine))
    if len(mine):
        loss_of(net, mine, count).backward()
    sum_gradients(net.parameters())
    out.put((rank, count, [gradient(p).tolist() for p in net.parameters()]))
    distributed.destroy_process_group()


def test_uneven_and_empty_workers_sum_to_the_whole_batch() -> None:
    whole = model()
    loss_of(whole, X, len(X)).backward()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    out = context.SimpleQueue()
    workers = [context.Process(target=share, args=(rank, 3, port, [0, 4, 4, 6], out)) for rank in range(3)]
    for process in workers:
        process.start()
    found = [out.get() for _ in workers]
    for process in workers:
        process.join(60)
        assert process.exitcode == 0
    for _, count, gradients in found:
        assert count == 6
        for mine, expected in zip(gradients, whole.parameters(), strict=True):
            assert torch.allclose(torch.tensor(mine), gradient(expected), atol=1e-7)


def test_one_process_is_left_as_it_is() -> None:
    net = model()
    loss_of(net, X, 6).backward()
    before = [gradient(p) for p in net.parameters()]
    sum_gradients(net.parameters())
    assert all(torch.equal(gradient(p), kept) for p, kept in zip(net.parameters(), before, strict=True))
    assert total(2.0, 3.0) == [2.0, 3.0]
