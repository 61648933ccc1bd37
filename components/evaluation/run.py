"""Stage `evaluate`: ask every checkpoint every test question, and say how good the answers are.

    python -m components.evaluation.run

Reads the sealed shards and the checkpoint folders; writes metrics.json, table.md and traces.jsonl.gz.
The same inputs give the same bytes, so neither time nor commit is inside.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from components.evaluation import report, traces
from components.evaluation.baselines import majority, majority_letter
from components.evaluation.config import EvaluateConfig
from components.evaluation.intervals import resample
from components.evaluation.metrics import Count, Scored, accuracy, in_words, score
from components.evaluation.traces import Answered
from components.stage import command
from model.imaging import shards
from model.imaging.frame import Frame
from model.imaging.prepare import Prepared, blank, prepare
from model.interface.question import Question
from model.interface.trace import Trace
from model.interface.writing import write_text
from model.learning.matching import exact
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import answer
from model.vlm.sampling import ASKED


@dataclass(frozen=True, eq=False)
class Exam:
    """A split as one checkpoint sees it: questions in order, each with its study."""

    questions: list[Question]
    prepared: list[Prepared]
    """The study of each question."""
    groups: list[str]
    """The head each study was cut from."""


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Write the stage's files and return what metrics.json holds."""
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    shards.verify(config.data)
    train = shards.read_questions(config.data, "train")
    usual, seen = majority(train), {_likeness(question) for question in train}
    tree: dict[str, Any] = {"digests": _digests(config)}
    scored: dict[tuple[str, str], list[Scored]] = {}
    answers: list[Answered] = []
    for name, folder in config.checkpoints.items():
        checkpoint = folders.load(folder)
        tree[name] = {}
        for split in config.splits:
            exam = read_exam(config.data, split, checkpoint)
            given = _ask(f"{name}, {split}", checkpoint, exam, exam.prepared, config)
            rows = scored[name, split] = [
                score(q, p.frame, t, g, modality=p.volume.modality, trained=_likeness(q) in seen)
                for q, p, t, g in _together(exam, given)
            ]
            answers += _answered(name, split, exam, given)
            letters = {"baseline_majority": [majority_letter(usual, question) for question in exam.questions]}
            if split in config.blank_splits:
                unseen = _ask(f"{name}, {split}, blank", checkpoint, exam, blanks(exam.prepared), config)
                letters["baseline_blank"] = [trace.answer.choice for trace in unseen]
                answers += _answered(name, split, exam, unseen, is_blank=True)
            resamples = resample(exam.groups, config.draws, config.seed)
            tree[name][split] = report.by_dimension(rows, _baselines(exam, letters), resamples)
    tree["difference"] = _differences(config, scored)
    _write(config.out, tree, answers)
    return tree


def read_exam(data: Path, split: str, checkpoint: Checkpoint) -> Exam:
    studies = {study.id: study for study in shards.read_studies(data, split)}
    seen = {name: prepare(study.volume, checkpoint.contract) for name, study in studies.items()}
    questions = [question for question in shards.read_questions(data, split) if question.study in studies]
    return Exam(questions, [seen[q.study] for q in questions], [studies[q.study].group for q in questions])


def blanks(prepared: Sequence[Prepared]) -> list[Prepared]:
    """Blank twins. Studies shown alike share one, so that it is read once."""
    made: dict[Frame, Prepared] = {}
    for study in prepared:
        if study.frame not in made:
            made[study.frame] = blank(study)
    return [made[study.frame] for study in prepared]


def _ask(
    title: str, checkpoint: Checkpoint, exam: Exam, prepared: Sequence[Prepared], config: EvaluateConfig
) -> list[Trace]:
    sampling = replace(
        ASKED, max_tokens=config.max_tokens, max_boxes=config.max_boxes, ordered_boxes=config.ordered_boxes
    )
    began = time.perf_counter()
    given = answer(checkpoint, list(zip(prepared, exam.questions, strict=True)), sampling)
    sys.stderr.write(f"evaluate: {title}: {len(given)} answers in {time.perf_counter() - began:.0f} s\n")
    return given


def _likeness(question: Question) -> tuple[int, str, str]:
    """What training has to have asked for a question to be of its distribution."""
    return question.dimension, question.family, question.contrast


def right(question: Question, trace: Trace) -> bool | None:
    """Of an open question: in the very words, once normalised. None where the truth is not known."""
    if question.reply:
        return bool(exact(in_words(trace.answer), question.reply))
    return None if question.letter is None else trace.answer.choice == question.letter


def _together(exam: Exam, given: Sequence[Trace]) -> zip:
    return zip(exam.questions, exam.prepared, given, exam.groups, strict=True)


def _answered(name: str, split: str, exam: Exam, given: Sequence[Trace], *, is_blank: bool = False) -> list[Answered]:
    return [
        Answered(name, split, is_blank, right(q, trace), trace) for q, trace in zip(exam.questions, given, strict=True)
    ]


def _baselines(exam: Exam, letters: Mapping[str, Sequence[str | None]]) -> dict[str, list[Count]]:
    return {
        name: [accuracy(q, letter) for q, letter in zip(exam.questions, guesses, strict=True)]
        for name, guesses in letters.items()
    }


def _differences(config: EvaluateConfig, scored: Mapping[tuple[str, str], Sequence[Scored]]) -> dict[str, Any]:
    """Each checkpoint against the one trained before it."""
    names = list(config.checkpoints)
    found: dict[str, Any] = {}
    for before, after in pairwise(names):
        for split in config.splits:
            ours, theirs = scored[after, split], scored[before, split]
            resamples = resample([row.group for row in ours], config.draws, config.seed)
            found.setdefault(f"{after} - {before}", {})[split] = report.difference(ours, theirs, resamples)
    return found


def _digests(config: EvaluateConfig) -> dict[str, Any]:
    """What the numbers were made from."""
    return {
        "data": shards.digest(config.data),
        "config": hashlib.sha256(config.model_dump_json().encode()).hexdigest(),
        "checkpoints": {name: folders.verify(folder) for name, folder in config.checkpoints.items()},
    }


def _write(out: Path, tree: dict[str, Any], answers: Sequence[Answered]) -> None:
    traces.write(out / traces.FILE, answers)
    write_text(out / "metrics.json", json.dumps(tree, indent=1) + "\n")
    write_text(out / "table.md", report.table(tree))


if __name__ == "__main__":
    sys.exit(command("evaluate", EvaluateConfig, run))
