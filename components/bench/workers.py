"""Fine-tuning by two workers beside one, and what the machine itself allows.

    python -m components.bench.workers      -> results/bench/train_workers_2.json

Workers are gloo processes with one thread each; they share the studies of a step, and each step ends with the sum of
their gradients. Wall time of the steps alone, because processes are what is measured: ways take turns, the least of
several counts. The ceiling is what two processes do that share nothing but the machine: memory and caches are one.
It needs two idle cores.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor, distributed

from components.bench import tuning
from components.bench.run import BenchConfig, machine
from components.stage import command
from components.tracking import commit
from model.interface.errors import Failure
from model.interface.writing import write_text
from model.vlm import checkpoint as folders

SAMPLES, STEPS, REPEATS = 160, 3, 2
"""Of a step, all workers together; timed steps; turns."""
PEER = "one worker with all studies of the step, wall time"
FIGURE = "train_workers_2"


def run(config: BenchConfig) -> dict[str, Any]:
    """Measure and write; what the file holds."""
    seconds: dict[str, list[float]] = {"one": [], "two": [], "apart": []}
    gradients: dict[str, Tensor] = {}
    for _ in range(REPEATS):
        for way, (worlds, joined) in {"one": (1, True), "two": (2, True), "apart": (2, False)}.items():
            spent, gradients[way] = _timed(config.checkpoint, worlds, joined=joined)
            seconds[way].append(spent)
    one, two, apart = (min(seconds[way]) for way in seconds)
    figure = {
        "figure": FIGURE,
        "ratio": round(one / two, 2),
        "ours": {"seconds": round(two, 2), "memory_mb": None},
        "peer": {"seconds": round(one, 2), "memory_mb": None},
        "peer_is": PEER,
        "equal": {"max_abs_diff": float((gradients["one"] - gradients["two"]).abs().max()), "tolerance": 1e-5},
        "n": SAMPLES * STEPS,
        "samples_per_second": {"1": round(SAMPLES * STEPS / one, 1), "2": round(SAMPLES * STEPS / two, 1)},
        "ceiling": round(2 * one / apart, 2),
        "ceiling_is": "two processes at once, each with all studies and a group of its own, in runs of one worker",
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "machine": machine().replace("1 thread", "2 processes"),
        "commit": commit(),
        "command": "python -m components.bench.workers",
    }
    if not figure["equal"]["max_abs_diff"] <= figure["equal"]["tolerance"]:
        raise Failure(
            "two workers' gradient is another than one's, so their speeds can't be compared",
            where=f"{FIGURE}, largest difference {figure['equal']['max_abs_diff']:.2g}, wanted at most 1e-05",
            next="pytest tests/components/training/test_gradients.py",
        )
    write_text(config.out / f"{FIGURE}.json", json.dumps(figure, indent=1) + "\n")
    sys.stderr.write(json.dumps(figure) + "\n")
    return figure


def _timed(checkpoint: Path, processes: int, *, joined: bool) -> tuple[float, Tensor]:
    """Seconds of the steps, until the last process is done, and the first step's gradient.

    joined: one group of workers that share a step; else as many that each do all of it.
    """
    context = mp.get_context("spawn")
    out, gate = context.SimpleQueue(), context.Barrier(processes)
    ports = [_free_port()] * processes if joined else [_free_port() for _ in range(processes)]
    world = processes if joined else 1
    started = [
        context.Process(
            target=_work,
            args=(checkpoint, tuning.DATA, SAMPLES, STEPS, rank if joined else 0, world, ports[rank], gate, out),
        )
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    found = [out.get() for _ in started]
    for process in started:
        process.join()
    return max(seconds for seconds, _ in found), torch.from_numpy(found[0][1])


def _work(
    checkpoint: Path, data: Path, samples: int, steps: int, rank: int, world: int, port: int, gate: Any, out: Any
) -> None:
    torch.set_num_threads(1)
    tuning.DATA = data
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    mine = tuning.fresh(folders.load(checkpoint))
    cases = tuning.studies(mine, samples)
    order = sorted(range(len(cases)), key=lambda i: -cases[i].prepared.dimension * 100 - len(cases[i].questions))
    rows = tuning.rows_of([cases[i] for i in order[rank::world]], mine)
    first = tuning.fine_tune(mine, rows, 1)  # warms up too
    gate.wait()
    began = time.monotonic()
    tuning.fine_tune(mine, rows, steps)
    out.put((time.monotonic() - began, first.numpy()))
    distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(command("bench", BenchConfig, run))
