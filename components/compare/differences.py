"""What differs between runs: paired differences, all corrected together, and the answers that changed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.compare import words
from components.compare.runs import Run, table, together
from components.evaluation.paired import ALPHA, Difference, difference, holm
from components.evaluation.report import COMPARED
from model.interface.errors import BadInput

SHOWN = ("accuracy", "box_iou", "valid_format")
"""Metrics of a comparison that names none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of the table."""

    better: str
    """Name of the run that the difference is of."""
    than: str
    metric: str
    dimension: str
    """"2d" or "3d"."""
    found: Difference
    corrected: float | None = None
    """p after Holm's correction over all rows."""
    claim: str = ""
    within: float | None = None
    """The loss that a claim of being no worse allows; `found.p` is of that loss, None of one of being better."""
    left_out: str = ""
    """Seeds that only one of them has, in words."""

    @property
    def verdict(self) -> str:
        """What the corrected p says: "better", "worse" or "unsure"; with an allowed loss "kept", "lost" or "unsure".

        "kept": the interval lies on the good side of that loss, "lost": beyond it. "more" or "less" of a metric of
        which neither is better. "not measured" without an interval.
        """
        if self.corrected is None or self.found.value is None:
            return "not measured"
        if self.corrected > ALPHA:
            return "unsure"
        way = words.better(self.metric)
        if not way:
            return "more" if self.found.value > 0 else "less"
        if self.within is None:
            return "better" if way * self.found.value > 0 else "worse"
        return "kept" if way * self.found.value > -self.within else "lost"


@dataclass(frozen=True, slots=True)
class Changed:
    """A question that one run answers right and the other wrong, with the first seed of both."""

    question: str
    dimension: int
    gained: bool
    """The better run is the one that is right."""
    seeds: int
    """Of how many seeds that is so."""


def compare(
    ours: Run, theirs: Run, metric: str, dimension: str, *, claim: str = "", within: float | None = None
) -> Compared:
    """Of one metric and dimension. Raises BadInput for a metric that doesn't pair up, or that can't be lost.

    within: asks whether ours is no worse than by this. p is then two-sided about that loss, twice the one-sided p of
    being no worse, so that "no worse" is as hard to say as "better" (ICH E9, 5.5: one side at half the level of two).
    """
    if metric not in COMPARED:
        where = f"metric: found {metric!r}, wanted one of {', '.join(COMPARED)}"
        raise BadInput("this metric can't be compared in pairs", where=where, next="name one of these")
    if within and not words.better(metric):
        where = f"within: found {within:g} of {metric}, wanted a metric of which more or less is better"
        raise BadInput("nothing of this metric can be lost", where=where, next="name another metric, or no loss")
    null = -within * words.better(metric) if within else 0.0
    (a, b), counts, heads = _slice((ours, theirs), metric, dimension)
    found = _ended(difference(a, b, counts, heads, null=null), metric, -1.0)
    left_out = _left_out(ours, theirs)
    return Compared(ours.name, theirs.name, metric, dimension, found, claim=claim, within=within, left_out=left_out)


def _slice(runs: Sequence[Run], metric: str, dimension: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Sums float[runs, seeds, questions], counts float[questions] that are 0 of other dimensions, and heads."""
    seeds, questions = together(runs[0], runs[-1])
    rows = [runs[0].seeds[seeds[0]][name] for name in questions]
    inside = np.array([float(f"{row.dimension}d" == dimension) for row in rows])
    sums, counts = table(runs, seeds, questions, metric)
    return sums, counts * inside, [row.group for row in rows]


def _ended(found: Difference, metric: str, least: float) -> Difference:
    """Its interval between `least` and 1 where the metric is a share: t knows of no ends."""
    if metric in words.AMOUNTS or found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, least), high=min(found.high, 1.0))


def _left_out(ours: Run, theirs: Run) -> str:
    pairs = ((ours, theirs), (theirs, ours))
    left = {run.name: sorted(set(run.seeds) - set(other.seeds)) for run, other in pairs}
    told = [f"{', '.join(map(str, seeds))} of {name}" for name, seeds in left.items() if seeds]
    return f"without seed {' and '.join(told)}" if told else ""


def corrected(rows: Sequence[Compared]) -> list[Compared]:
    """The same with Holm's correction over all of them."""
    measured = [row.found.p for row in rows if row.found.p is not None]
    left = iter(holm(measured))
    return [replace(row, corrected=None if row.found.p is None else next(left)) for row in rows]


def every(runs: Sequence[Run], metrics: Sequence[str] = SHOWN) -> list[Compared]:
    """Each further run against the first, in every metric and dimension that both have."""
    first, *others = runs
    dimensions = sorted({f"{row.dimension}d" for answers in first.seeds.values() for row in answers.values()})
    rows = [compare(run, first, m, d) for run in others for m in metrics for d in dimensions]
    return corrected([row for row in rows if row.found.n])


def alone(run: Run, metric: str, dimension: str) -> Difference:
    """A run's own value with its interval over heads and seeds: its difference from nothing."""
    (own,), counts, heads = _slice((run,), metric, dimension)
    return _ended(difference(own, np.zeros_like(own), counts, heads), metric, 0.0)


def line(row: Compared) -> str:
    """A row for a terminal."""
    alone = f"one seed each, {words.ONE_SEED}" if row.found.seeds == 1 else ""
    told = "; ".join(note for note in (row.left_out, alone) if note)
    return (
        f"{row.better} - {row.than}, {words.metric_words(row.metric)} {row.dimension.upper()}: "
        f"{words.interval(row.found, with_sign=True)}, p {words.chance(row.corrected)}, n {row.found.n}, "
        f"seeds {row.found.seeds}{f' ({told})' if told else ''}: {row.verdict}"
    )


def changed(ours: Run, theirs: Run, dimensions: Collection[str]) -> list[Changed]:
    """Of "2d", "3d" or both; those that changed with most seeds first."""
    seeds, questions = together(ours, theirs)
    found = []
    for name in questions:
        pairs = [(ours.seeds[seed][name].right, theirs.seeds[seed][name].right) for seed in seeds]
        first, dimension = pairs[0], ours.seeds[seeds[0]][name].dimension
        if first[0] != first[1] and f"{dimension}d" in dimensions:
            found.append(Changed(name, dimension, first[0], sum(pair == first for pair in pairs)))
    return sorted(found, key=lambda one: (-one.seeds, one.question))
