"""A run: the answers of one way of training to the same questions, of one seed or of several.

    {seed}.jsonl.gz     a line a question: what it belongs to, what was said, and its (sum, count) of every metric
    {seed}.json         the seed's headline numbers, and digests of what they were made from

All that is compared stands in the lines, so that runs can be compared where neither data nor checkpoint is. A page
with pictures needs the data as well: `trace` puts an answer back together.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluation.metrics import Count, Scored
from components.evaluation.report import COMPARED
from model.imaging.frame import Frame
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.prompt import question_text
from model.interface.question import Question
from model.interface.trace import Answer, Flaw, Step, Trace
from model.interface.writing import replacing

NOTHING: Count = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One answer."""

    question: str
    group: str
    """The head its study was cut from."""
    dimension: int
    family: str
    asked: str
    """The question and its options, as they were shown."""
    truth: str
    """The right letter, or the right words of an open question; "" where nobody knows."""
    letter: str | None
    steps: tuple[tuple[str, int], ...]
    """(sampled text, pictures it brought) of each."""
    flaws: tuple[tuple[str, str], ...]
    """(text, reason) of each."""
    sampled: int
    truncated: bool
    counts: dict[str, Count]
    """Of the metrics whose count depends on the question alone; those that say nothing are left out."""

    @property
    def right(self) -> bool:
        """Right letter, or the very words of an open answer."""
        return self.counts.get("accuracy", self.counts.get("open_exact", NOTHING))[0] == 1

    @property
    def said(self) -> str:
        return "".join(text for text, _ in self.steps)


@dataclass(frozen=True)
class Run:
    name: str
    """As it is asked for."""
    title: str
    """As it is told to people."""
    seeds: dict[int, dict[str, Row]]
    """Seed -> question -> its answer."""
    about: dict[str, Any]
    """Settings and digests, shown beside it."""
    contract: dict[str, Any]
    """What differs from the contract of `checkpoints/base`."""

    @property
    def data(self) -> str:
        return str(self.about.get("data", ""))


def row_of(scored: Scored, trace: Trace, question: Question, frame: Frame) -> Row:
    places = tuple(frame.to_model(region) for region in question.regions)
    kept = {name: scored.counts[name] for name in COMPARED if scored.counts[name][1]}
    return Row(
        question=scored.question,
        group=scored.group,
        dimension=scored.dimension,
        family=question.family,
        asked=question_text(question, places),
        truth=question.letter or question.reply,
        letter=trace.answer.choice,
        steps=tuple((step.text, step.crops) for step in trace.steps),
        flaws=tuple((flaw.text, flaw.reason) for flaw in trace.answer.flaws),
        sampled=trace.sampled,
        truncated=trace.truncated,
        counts={name: (round(total, 4), count) for name, (total, count) in kept.items()},
    )


def trace(row: Row, frame: Frame, study_digest: str) -> Trace:
    """The answer as it was given, but for its timing, its versions and what needs pixels (`Trace.sides`)."""
    read = grammar.parse(row.said)
    steps = []
    for text, crops in row.steps:
        said = grammar.last_box(text)
        box = said if isinstance(said, Box) and grammar.why_not_usable(said, frame.shape) is None else None
        steps.append(Step(text, box, frame.to_mm(box) if box else None, crops))
    flaws = tuple(Flaw(text, reason) for text, reason in row.flaws)
    answer = Answer(read.choice, read.text, read.evidence, flaws)
    return Trace(row.question, study_digest, frame.shape, tuple(steps), answer, row.sampled, row.truncated)


def write(file: Path, rows: Iterable[Row]) -> None:
    """The same rows are the same bytes."""
    with (
        replacing(file) as part,
        part.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as lines,
    ):
        for row in rows:
            told = [getattr(row, name) for name in Row.__slots__]
            lines.write(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")


def read(file: Path) -> Iterator[Row]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            told = dict(zip(Row.__slots__, json.loads(line), strict=True))
            told["steps"] = tuple((text, crops) for text, crops in told["steps"])
            told["flaws"] = tuple((text, reason) for text, reason in told["flaws"])
            told["counts"] = {name: (total, count) for name, (total, count) in told["counts"].items()}
            yield Row(**told)


def load(folder: Path) -> Run:
    """A cell's folder of seeds. Raises BadInput where there is none, or where seeds were trained or asked otherwise."""
    files = sorted(folder.glob("*.json"), key=lambda file: int(file.stem)) if folder.is_dir() else []
    if not files:
        where = f"{folder}: found no answers, wanted seed.json and seed.jsonl.gz"
        raise BadInput("no such run", where=where, next="make ablations, or name a folder that has them")
    first, *others = (json.loads(file.read_text()) for file in files)
    common = _common(first)
    for file, told in zip(files[1:], others, strict=True):
        for field, wanted in common.items():
            if (found := _common(told).get(field)) != wanted:
                where = f"{file}, {field}: found {found}, wanted {wanted} as in {files[0].name}"
                raise BadInput("seeds of one run differ in more than the seed", where=where, next="make ablations")
    seeds = {int(f.stem): {r.question: r for r in read(f.with_suffix(".jsonl.gz"))} for f in files}
    about = {"settings": first["settings"], "data": first["digests"]["data"]}
    return Run(folder.name, first["title"], seeds, about, first["contract"])


def _common(told: dict[str, Any]) -> dict[str, Any]:
    """By field, what all seeds of a run share: all but the seed, its checkpoint, the code that made it (which may say
    the same in other words) and its numbers."""
    own = ("checkpoint", "code")
    digests = {f"digests.{name}": digest for name, digest in told["digests"].items() if name not in own}
    return {name: told.get(name) for name in ("settings", "contract", "training")} | digests


def of_one_data(runs: Iterable[Run]) -> None:
    """Raises BadInput, which names two, unless all answered the same data, as far as they say."""
    first: Run | None = None
    for run in (run for run in runs if run.data):
        first = first or run
        if run.data != first.data:
            where = f"{run.name}, data: found {run.data[:12]}, wanted {first.data[:12]} as of {first.name}"
            raise BadInput("these runs answered other questions", where=where, next="compare runs of one data set")


def together(ours: Run, theirs: Run) -> tuple[list[int], list[str]]:
    """(seeds, questions) that both runs have. Raises BadInput where they have nothing in common."""
    seeds = sorted(set(ours.seeds) & set(theirs.seeds))
    all_of = [set(run.seeds[seed]) for run in (ours, theirs) for seed in seeds]
    questions = sorted(set.intersection(*all_of)) if all_of else []
    if not questions:
        where = f"{ours.name} and {theirs.name}: found no seed or no question in common"
        raise BadInput("these runs can't be compared", where=where, next="compare runs of the same data and seeds")
    return seeds, questions


def table(run: Run, seeds: Iterable[int], questions: Iterable[str], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Sums float[seeds, questions] and counts float[questions] of a metric."""
    asked = list(questions)
    cells = [[run.seeds[seed][name].counts.get(metric, NOTHING) for name in asked] for seed in seeds]
    both = np.array(cells, float)
    return both[..., 0], both[0, :, 1]
