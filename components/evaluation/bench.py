"""What reading a study once is worth: further questions about a volume, ours against reading it again.

    python -m components.evaluation.bench

Both sides are this engine on the same weights, questions and thread count, greedy; only whether the study's
pictures are encoded and prefilled once, or once a question, differs. Equal answers come first: a ratio
between different answers would mean nothing.
"""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from components.stage import command
from components.tracking import commit
from model.imaging import shards
from model.imaging.prepare import Prepared, prepare
from model.interface.errors import Failure
from model.interface.question import Question
from model.interface.trace import Trace
from model.vlm import checkpoint as folders
from model.vlm.engine import Sampling, answer

TOLERANCE = 1e-4
"""Largest difference of mean log-probability that batching may make in fp32."""


class BenchConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    checkpoint: Path = Path("checkpoints/rl")
    questions: int = Field(default=16, ge=2)
    """Asked about one volume of the test split."""
    repeats: int = Field(default=3, ge=1)
    """The least time counts; one more run warms up."""
    threads: int = Field(default=1, ge=1)
    out: Path = Path("results/bench")


def run(config: BenchConfig) -> dict[str, Any]:
    """Write decode_followup.json and return what it holds."""
    torch.set_num_threads(config.threads)
    checkpoint = folders.load(config.checkpoint)
    prepared, questions = _volume(config, checkpoint.contract)
    again = [replace(prepared) for _ in questions]
    ours, ours_seconds, ours_mb = _timed(
        lambda: answer(checkpoint, [(prepared, q) for q in questions], Sampling()), config.repeats
    )
    peer, peer_seconds, peer_mb = _timed(
        lambda: answer(checkpoint, list(zip(again, questions, strict=True)), Sampling()), config.repeats
    )
    figure = {
        "figure": "decode_followup",
        "ratio": round(peer_seconds / ours_seconds, 2),
        "ours": {"seconds": round(ours_seconds, 3), "memory_mb": ours_mb},
        "peer": {"seconds": round(peer_seconds, 3), "memory_mb": peer_mb},
        "peer_is": "this engine, encoding and prefilling the volume anew for each question",
        "equal": {"max_abs_diff": _difference(ours, peer), "tolerance": TOLERANCE},
        "n": len(questions),
        "machine": f"{platform.machine()}, {config.threads} of {os.cpu_count()} cores, torch {torch.__version__}",
        "commit": commit(),
        "command": "python -m components.evaluation.bench",
    }
    config.out.mkdir(parents=True, exist_ok=True)
    part = config.out / ".decode_followup.part"
    part.write_text(json.dumps(figure, indent=1) + "\n")
    part.replace(config.out / "decode_followup.json")
    sys.stderr.write(f"bench: a follow-up question is {figure['ratio']} times as fast as a first one\n")
    return figure


def _volume(config: BenchConfig, contract: Any) -> tuple[Prepared, list[Question]]:
    """The first test volume, and questions about volumes; all heads have one grid, so their regions fit."""
    study = next(s for s in shards.read_studies(config.data, "test") if s.volume.dimension == 3)
    asked = [q for q in shards.read_questions(config.data, "test") if q.dimension == 3][: config.questions]
    return prepare(study.volume, contract), asked


def _timed(work: Callable[[], list[Trace]], repeats: int) -> tuple[list[Trace], float, int]:
    """What it gives, its least seconds, and the process's peak memory so far in MB."""
    given, best = work(), float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        given = work()
        best = min(best, time.perf_counter() - began)
    return given, best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _difference(ours: Sequence[Trace], peer: Sequence[Trace]) -> float:
    """Largest difference of mean log-probability; answers that differ in text are no comparison."""
    for a, b in zip(ours, peer, strict=True):
        if a.text != b.text:
            raise Failure(
                "the two ways answer differently",
                where=f"question {a.question_id}",
                next="pytest tests/model/vlm: something is wrong with the shared memory",
            )
    return max(abs(a.mean_logprob - b.mean_logprob) for a, b in zip(ours, peer, strict=True))


if __name__ == "__main__":
    sys.exit(command("bench", BenchConfig, run))
