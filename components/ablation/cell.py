"""A stage of the ablations: train one cell with one seed, ask it the test questions, keep its numbers and its answers.

    python -m components.ablation.cell joint 0

One process, one thread, no Ray: two cells run side by side on two cores. The loops are those of the stages `sft` and
`rl`, on data of the cell's own (`variants`). A cell that is trained by RL goes on from its forerunner's checkpoint of
the same seed, which waits under .cache/ablation; where it is gone, it is made again. Killed, the same command goes on
from the last state.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from components import environment
from components.ablation import variants
from components.ablation.cells import FILE, RESULTS, Cell, Plan, cell_of, plan
from components.compare import runs
from components.evaluation import report
from components.evaluation.intervals import resample
from components.evaluation.metrics import score
from components.evaluation.run import read_exam
from components.training import rl, sft
from components.training.launch import Workers, code, run_key
from components.training.rl_config import RlConfig
from components.training.states import States
from model.imaging import shards
from model.interface.errors import BadInput, Failure
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import answer
from model.vlm.sampling import ASKED

KEPT = Path(".cache/ablation")
"""Checkpoints that others go on from, and states of what isn't finished."""


def run(
    name: str,
    seed: int,
    *,
    planned: Plan | None = None,
    data: Path = Path("data"),
    base: Path = Path("checkpoints/base"),
    out: Path = RESULTS,
) -> dict[str, Any]:
    """Write {out}/cells/{name}/{seed}.json and .jsonl.gz; what the first holds."""
    planned = planned or plan()
    cell = cell_of(planned, name)
    torch.set_num_threads(1)
    shards.verify(data)
    began = time.perf_counter()
    if cell.after:
        _same_as_told(trained(cell.after, seed, planned, data, base), out / "cells" / cell.after / f"{seed}.json")
    folder = trained(name, seed, planned, data, base)
    checkpoint = folders.load(folder)
    exam = read_exam(data, "test", checkpoint)
    asked = list(zip(exam.prepared, exam.questions, strict=True))
    usual = replace(ASKED, max_tokens=planned.training.max_tokens)
    traces = answer(checkpoint, asked, usual)
    sampled = replace(usual, temperature=1.0, seed=seed)
    drawn = answer(checkpoint, asked, sampled) if planned.near_rl(name) else [None] * len(asked)
    answered = zip(exam.questions, exam.prepared, traces, exam.groups, drawn, strict=True)
    rows = [
        score(question, study.frame, trace, group, modality=study.volume.modality, sampled=another)
        for question, study, trace, group, another in answered
    ]
    tree = report.by_dimension(rows, {}, resample(exam.groups, planned.training.draws, 0))
    settings, training = planned.told(name)
    dropped = (*report.SLICES, "selective")
    told = {
        "cell": name,
        "seed": seed,
        "title": cell.title(),
        "settings": settings,
        "contract": cell.contract_changes,
        "digests": {
            "data": shards.digest(data),
            "base": folders.verify(base),
            "checkpoint": checkpoint.digest,
            "code": code(),
        },
        "training": training,
        "test": {d: {m: found for m, found in metrics.items() if m not in dropped} for d, metrics in tree.items()},
    }
    place = out / "cells" / name
    told_rows = zip(rows, traces, exam.questions, (study.frame for study in exam.prepared), strict=True)
    runs.write(place / f"{seed}.jsonl.gz", (runs.row_of(*parts) for parts in told_rows))
    write_text(place / f"{seed}.json", json.dumps(told, indent=1) + "\n")
    if not planned.goes_on(name):
        shutil.rmtree(folder)
    sys.stderr.write(f"ablation: {name}, seed {seed}: {time.perf_counter() - began:.0f} s\n")
    return told


def trained(name: str, seed: int, planned: Plan, data: Path, base: Path) -> Path:
    """The checkpoint of a cell, from .cache or made now. Two that want the same one make it once."""
    cell = planned.cells[name]
    before = trained(cell.after, seed, planned, data, base) if cell.after else base
    settings, training = planned.told(name)
    key = run_key(settings, seed, training, folders.verify(before), (data / "manifest.json").read_text(), code())
    folder = KEPT / f"{name}-{seed}-{key}"
    locks = KEPT.with_name(f"{KEPT.name}-locks")
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / folder.name):
        if not folder.is_dir():
            _train(f"{name} {seed}", planned, cell, seed, data, before, folder)
    return folder


def _train(title: str, planned: Plan, cell: Cell, seed: int, data: Path, before: Path, folder: Path) -> None:
    checkpoint, training = seen_by(cell, folders.load(before)), planned.training
    states = Saves(KEPT / f"{folder.name}-states", title)
    with tempfile.TemporaryDirectory() as scratch:
        made = variants.write(data, Path(scratch), cell, planned, seed)
        if cell.after:
            rl.train(checkpoint, rl_config(cell, planned, Path(scratch), seed), Workers(), states, None)
        else:
            config = sft.SftConfig(
                data=Path(scratch),
                seed=seed,
                epochs=training.epochs,
                studies=made.a_step,
                lr=training.lr,
                workers=1,
            )
            sft.train(checkpoint, config, Workers(), states, None)
    folders.save(checkpoint, folder)
    states.forget()


def _same_as_told(forerunner: Path, told: Path) -> None:
    """Raises BadInput where the forerunner is not the checkpoint whose answers are told: another machine's arithmetic
    may make another one, and answers of the two are no pair."""
    if not told.exists():
        return
    found, wanted = folders.verify(forerunner), json.loads(told.read_text())["digests"]["checkpoint"]
    if found != wanted:
        raise BadInput(
            "a forerunner is not the one that was asked",
            where=f"{told}, digests.checkpoint: found {found[:12]} made here, wanted {wanted[:12]}",
            safe="nothing was written",
            next=f"run its cell again: dvc repro -sf components/ablation/dvc.yaml:sft@{told.parent.name}-{told.stem}",
        )


def rl_config(cell: Cell, planned: Plan, data: Path, seed: int) -> RlConfig:
    told = planned.rl.model_dump(exclude={"heads"})
    return RlConfig(data=data, seed=seed, reward=cell.reward, workers=1, **told)


def seen_by(cell: Cell, checkpoint: Checkpoint) -> Checkpoint:
    """The same weights under the cell's own contract."""
    contract = type(checkpoint.contract).model_validate(checkpoint.contract.model_dump() | cell.contract_changes)
    return replace(checkpoint, contract=contract)


class Saves:
    """States of one training in this process: the last one is kept, in a folder of its own."""

    def __init__(self, folder: Path, title: str) -> None:
        self.states, self.title = States(folder, keep=1), title

    def last(self) -> Path | None:
        return self.states.last(self.say)

    def say(self, line: str) -> None:
        sys.stderr.write(f"{self.title}: {line}\n")

    def save(self, write: Callable[[Path], Any], metrics: dict[str, float], *, first: bool) -> None:
        self.states.write(write, metrics)

    def forget(self) -> None:
        shutil.rmtree(self.states.folder, ignore_errors=True)


def main(told: list[str]) -> int:
    """The exit code. told: a cell and a seed."""
    environment.settle()
    try:
        if len(told) != 2 or not told[1].isdigit():
            raise Failure("a cell and a seed are wanted", where=f"found {told}", next=f"name a cell of {FILE.name}")
        run(told[0], int(told[1]))
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        return failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
