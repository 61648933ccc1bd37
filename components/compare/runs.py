"""A run: the answers of one way of training to the same questions, of one seed or of several.

    {seed}.jsonl.gz     a line a question: what it belongs to, what was said, and its (sum, count) of every metric
    {seed}.json         the seed's headline numbers, and digests of what they were made from

All that is compared stands in the lines, so that runs can be compared where neither data nor checkpoint is. A page
with pictures needs the data as well: `trace` puts an answer back together.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
UNREADABLE = (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError)
"""What reading raises of a file that is missing, cut short or not a cell's."""


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
    """As it is asked for; no two runs of a page share it."""
    title: str
    """As it is told to people."""
    seeds: dict[int, dict[str, Row]]
    """Seed -> question -> its answer."""
    told: dict[int, dict[str, Any]]
    """Seed -> what its json tells of it, but for its numbers: "settings", "training", "digests" and so on."""
    contract: dict[str, Any]
    """What differs from the contract of `checkpoints/base`."""

    @property
    def data(self) -> str:
        """Digest of the data that was asked about; "" where nobody says."""
        return next((told["digests"]["data"] for told in self.told.values()), "")


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


def load(folder: Path, wanted: Sequence[int] = ()) -> Run:
    """A cell's folder of seeds, those that are wanted or all; one that isn't among cells is named by its path, for many
    are called alike.

    Raises BadInput where there is none, where a seed can't be read, or where seeds were trained or asked otherwise.
    """
    seeds = sorted(wanted or (int(file.stem) for file in folder.glob("*.json") if file.stem.isdecimal()))
    if not seeds:
        where = f"{folder}: found no answers, wanted seed.json and seed.jsonl.gz"
        raise BadInput("no such run", where=where, next="make ablations, or name a folder that has them")
    told: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[str, Row]] = {}
    for seed in seeds:
        told[seed], answers[seed] = _seed(folder / f"{seed}.json")
    first, asked = told[seeds[0]], answers[seeds[0]].keys()
    for seed in seeds[1:]:
        if (rows := answers[seed]).keys() != asked:
            where = f"{folder}/{seed}.jsonl.gz: found {len(rows)} questions, wanted those of {seeds[0]}.jsonl.gz"
            raise BadInput("seeds of one run answered other questions", where=where, next="run that cell again")
        for field, wanted in _common(first).items():
            if (found := _common(told[seed]).get(field)) != wanted:
                where = f"{folder}/{seed}.json, {field}: found {found}, wanted {wanted} as in {seeds[0]}.json"
                raise BadInput("seeds of one run differ in more than the seed", where=where, next="make ablations")
    name = folder.name if folder.parent.name == "cells" else str(folder)
    return Run(name, first["title"], answers, told, first["contract"])


def _seed(file: Path) -> tuple[dict[str, Any], dict[str, Row]]:
    """What a seed's json tells, but for its numbers, and its answers by question."""
    part = file
    try:
        told = {name: what for name, what in json.loads(file.read_text()).items() if name != "test"}
        part = file.with_suffix(".jsonl.gz")
        rows = {row.question: row for row in read(part)}
    except UNREADABLE as error:
        found = "no file" if isinstance(error, FileNotFoundError) else f"what can't be read ({type(error).__name__})"
        where = f"{part}: found {found}, wanted what a cell writes"
        raise BadInput("a seed's answers are not at hand", where=where, next="run that cell again") from error
    for field in ("title", "settings", "contract", "digests"):
        if field not in told:
            where = f"{file}, {field}: found nothing, wanted what a cell writes"
            raise BadInput("a seed's answers are not at hand", where=where, next="run that cell again")
    return told, rows


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


def by_name(runs: Iterable[Run]) -> dict[str, Run]:
    """Each run once. Raises BadInput where two that aren't the same share a name."""
    found: dict[str, Run] = {}
    for run in runs:
        if found.setdefault(run.name, run) != run:
            where = f"runs: found {run.name} twice with other answers, wanted a name for each"
            raise BadInput("two runs are called alike", where=where, next="name one of them by a link outside of cells")
    return found


def together(ours: Run, theirs: Run) -> tuple[list[int], list[str]]:
    """(seeds, questions) that both runs have. Raises BadInput where they have nothing in common."""
    seeds = sorted(set(ours.seeds) & set(theirs.seeds))
    all_of = [set(run.seeds[seed]) for run in (ours, theirs) for seed in seeds]
    questions = sorted(set.intersection(*all_of)) if all_of else []
    if not questions:
        where = f"{ours.name} and {theirs.name}: found no seed or no question in common"
        raise BadInput("these runs can't be compared", where=where, next="compare runs of the same data and seeds")
    return seeds, questions


def table(runs: Sequence[Run], seeds: Sequence[int], asked: Sequence[str], metric: str) -> tuple[np.ndarray, ...]:
    """Sums float[runs, seeds, questions] and counts float[questions] of a metric.

    Raises BadInput where a sum is no number, or where runs or seeds count a question otherwise: one that doesn't have
    the metric would be taken to have got it all wrong.
    """
    cells = [[[run.seeds[seed][name].counts.get(metric, NOTHING) for name in asked] for seed in seeds] for run in runs]
    sums, counts = np.moveaxis(np.array(cells, float), -1, 0)
    for bad in np.argwhere(~np.isfinite(sums)):
        where = f"{_place(runs, seeds, asked, metric, bad)}: found {sums[*bad]}, wanted a number"
        raise BadInput("an answer has no score", where=where, next="run that cell again")
    for bad in np.argwhere(counts != counts[0, 0]):
        wanted = f"{counts[0, 0, bad[2]]:g} as in {runs[0].name}, seed {seeds[0]}"
        where = f"{_place(runs, seeds, asked, metric, bad)}: found a count of {counts[*bad]:g}, wanted {wanted}"
        then = "run the cell again that lacks it, or name another metric"
        raise BadInput("not all of these answers have this metric", where=where, next=then)
    return sums, counts[0, 0]


def _place(runs: Sequence[Run], seeds: Sequence[int], asked: Sequence[str], metric: str, place: np.ndarray) -> str:
    run, seed, question = place
    return f"{runs[run].name}, seed {seeds[seed]}, question {asked[question]}, {metric}"
