"""What a GPU adds: decoding in fixed room, replayed as a graph, against memory that grows and against its bandwidth.

    python -m components.bench.gpu           on a CUDA device -> results/bench/gpu/gpu_decode.json
    python -m components.bench.gpu --cpu     the same lines, small and on the CPU: that they run, nothing is written

Random bfloat16 weights at the widths of Qwen2.5-VL-7B behind the checkpoint's tokenizer, one volume at the paper's
geometry. A step can't be quicker than what it reads takes to arrive: the weights once, the study's keys and values
once, each row's own up to its window. What is told is wall time between two tokens, drawing included.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.bench.dictation import noise
from components.bench.paper import CONTRACT
from components.bench.run import BenchConfig, machine
from components.stage import command
from components.tracking import commit
from model.interface.contract import Contract
from model.interface.errors import BadInput, Failure
from model.interface.question import Question
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm import fixed, room
from model.vlm.backbone import TinySize, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Engine, Study, samples
from model.vlm.features import Features
from model.vlm.rollout import Rollout
from model.vlm.sampling import Sampling, dictated

SEVEN_B = TinySize(
    hidden=3584,
    layers=28,
    heads=28,
    kv_heads=4,
    mlp=18944,
    tower_hidden=1280,
    tower_layers=32,
    tower_heads=16,
    tower_mlp=3420,
)
"""Qwen2.5-VL-7B-Instruct's config.json."""
SMALL = TinySize(
    hidden=48, layers=2, heads=2, kv_heads=1, mlp=64, tower_hidden=32, tower_layers=1, tower_heads=2, tower_mlp=48
)
ROWS = (1, 8, 32)
TOKENS, SKIPPED = 160, 8
"""Of each answer; the first few steps, with captures among them, are not counted."""
SAME = 0.05
"""Largest difference of a log-probability in bfloat16, which keeps 8 bits."""
GB_A_SECOND = {
    "H200": 4800,  # NVIDIA H200 data sheet: 4.8 TB/s
    "H100 NVL": 3900,  # NVIDIA H100 data sheet: 3.9 TB/s
    "H100 PCIe": 2000,  # NVIDIA H100 PCIe product brief: 2.0 TB/s
    "H100": 3350,  # NVIDIA H100 data sheet, SXM: 3.35 TB/s
    "A100-SXM4-80GB": 2039,  # NVIDIA A100 data sheet
    "A100": 1555,  # NVIDIA A100 data sheet, 40 GB
    "L40S": 864,  # NVIDIA L40S data sheet
    "L4": 300,  # NVIDIA L4 data sheet
}
"""Peak of the memory by a part of the device's name, the first that fits."""


@dataclass(frozen=True, slots=True)
class Timed:
    step_seconds: float
    """Median between two tokens."""
    logprobs: Tensor
    """float[rows, tokens]"""


def run(config: BenchConfig, *, cpu: bool = False) -> dict[str, Any]:
    """What gpu_decode.json holds. Raises BadInput where there is no CUDA device."""
    if not cpu and not torch.cuda.is_available():
        raise BadInput(
            "these figures need a CUDA device",
            where="torch.cuda: found no device, wanted one with about 40 GB free",
            next="run it on a machine with one; --cpu shows that the lines run",
        )
    device = torch.device("cpu" if cpu else "cuda")
    torch.set_num_threads(1)
    large = model_on(device, folders.load(config.checkpoint), small=cpu)
    peak = None if cpu else bytes_a_second(torch.cuda.get_device_properties(device))
    (study,) = Engine(large, features=Features(0), studies=0).read([noise(large.contract, np.random.default_rng(0))])
    told = [measured(large, study, rows, 24 if cpu else TOKENS, peak) for rows in ROWS]
    parameters = sum(p.numel() for p in large.vlm.parameters())
    figure = {
        "figure": "gpu_decode",
        "rows": told,
        "peak_gb_per_second": None if peak is None else round(peak / 1e9),
        "model": f"random weights, {parameters / 1e9:.2g} G parameters, {large.vlm.dtype}, seed 0",
        "prefix_tokens": len(study.strip),
        "machine": machine() if cpu else f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}",
        "commit": commit(),
        "command": "python -m components.bench.gpu",
    }
    text = json.dumps(figure, indent=1) + "\n"
    sys.stderr.write(text)
    if not cpu:
        write_text(config.out / "gpu" / "gpu_decode.json", text)
    return figure


def model_on(device: torch.device, checkpoint: Checkpoint, *, small: bool) -> Checkpoint:
    """Random weights, made where they are to be."""
    contract: Contract = CONTRACT
    if small:
        contract = CONTRACT.model_copy(update={"image_side": 56, "volume_side": 56, "crop_side": 28, "slices": 3})
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if small else torch.bfloat16)
    try:
        with device:
            vlm: Any = tiny(contract, checkpoint.tokenizer, SMALL if small else SEVEN_B, seed=0)
    finally:
        torch.set_default_dtype(kept)
    return Checkpoint(vlm.to(device, torch.float32 if small else torch.bfloat16), checkpoint.tokenizer, contract, "")


def measured(large: Checkpoint, study: Study, rows: int, tokens: int, peak: float | None) -> dict[str, Any]:
    """One number of rows, both ways. Raises Failure where they differ."""
    ours, peer = (timed(large, study, rows, tokens, fixed=way) for way in (True, False))
    apart = float((ours.logprobs - peer.logprobs).abs().max())
    if not apart <= SAME:
        raise Failure(
            "the two ways disagree, so their costs can't be compared",
            where=f"gpu_decode, {rows} rows, largest difference {apart:.2g}, wanted at most {SAME}",
            next="pytest tests/model/vlm/test_fixed.py",
        )
    read = step_bytes(large, len(study.strip), rows, tokens)
    bound = None if peak is None else read / peak
    return {
        "rows": rows,
        "ms_per_step": round(1000 * ours.step_seconds, 3),
        "tokens_per_second": round(rows / ours.step_seconds, 1),
        "bytes_per_step": read,
        "share_of_bound": None if bound is None else round(bound / ours.step_seconds, 3),
        "growing_ms_per_step": round(1000 * peer.step_seconds, 3),
        "max_abs_diff": apart,
    }


def timed(large: Checkpoint, study: Study, rows: int, tokens: int, *, fixed: bool) -> Timed:
    """Dictated answers without a box. Reading a token's id waits for the device, so that the clock is right."""
    question = Question("", "", "", "", 3, "existence verification", "Is the brainstem seen?", ("Yes", "No"), 0)
    word = large.vocabulary.own("no")[:1]
    tell = dictated([word * tokens] * rows)
    at: list[float] = []

    def choose(scores: Tensor, rollouts: Sequence[Rollout]) -> list[tuple[int, float]]:
        told = tell(scores, rollouts)
        at.append(time.perf_counter())
        return told

    engine = Engine(large, features=Features(0), studies=0, fixed=fixed)
    made = engine.ask(samples(study, question, rows), Sampling(max_tokens=tokens), choose=choose)
    steps = np.diff(at)[SKIPPED:]
    return Timed(median(steps.tolist()), torch.tensor([rollout.logprobs for rollout in made]))


def step_bytes(large: Checkpoint, prefix: int, rows: int, tokens: int) -> int:
    """What a step reads at least: weights of the language model and its head, the prefix, the rows' own windows."""
    language = large.vlm.model.language_model
    weights = sum(p.nbytes for part in (language.layers, language.norm, large.vlm.lm_head) for p in part.parameters())
    own = rows * -(-tokens // fixed.WINDOW) * fixed.WINDOW
    return weights + (prefix + own) * room.size_of(large.vlm, large.vlm.dtype.itemsize).a_token


def bytes_a_second(properties: Any) -> float:
    """Of the device's memory at its peak: the table's, else clock x width x 2, as the driver tells them."""
    for name, speed in GB_A_SECOND.items():
        if name in properties.name:
            return speed * 1e9
    clock_khz, width = (getattr(properties, name, 0) for name in ("memory_clock_rate", "memory_bus_width"))
    if not clock_khz or not width:
        raise BadInput(
            "nobody knows how quick this device's memory is",
            where=f"{properties.name}: found no entry in GB_A_SECOND, wanted one of {', '.join(GB_A_SECOND)}",
            next="add it with its data sheet",
        )
    return 2 * clock_khz * 1e3 * width / 8


if __name__ == "__main__":
    sys.exit(command("bench", BenchConfig, partial(run, cpu="--cpu" in sys.argv[1:])))
