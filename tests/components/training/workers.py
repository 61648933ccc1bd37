"""Real gloo processes, for what training does over several."""

import pickle
import socket
from collections.abc import Callable
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import distributed


def run(function: Callable[..., Any], world: int, *arguments: Any) -> list[Any]:
    """What function(rank, *arguments) returned in each of `world` processes, by rank."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    out: Any = context.Queue()
    processes = [
        context.Process(target=_work, args=(rank, world, port, function, arguments, out)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    try:
        found = {rank: pickle.loads(told) for rank, told in (out.get(timeout=400) for _ in processes)}
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()
    return [found[rank] for rank in range(world)]


def _work(rank: int, world: int, port: int, function: Callable[..., Any], arguments: tuple[Any, ...], out: Any) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    out.put((rank, pickle.dumps(function(rank, *arguments))))  # by value: its memory goes with the process
    distributed.destroy_process_group()
