"""What differs between runs: paired differences, all corrected together, and the answers that changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

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

    @property
    def verdict(self) -> str:
        """What the corrected p says: "better", "worse" or "unsure"; with an allowed loss "kept", "lost" or "unsure".

        "kept": the interval lies above that loss, "lost": below it. "not measured" without an interval.
        """
        if self.corrected is None or self.found.value is None:
            return "not measured"
        if self.corrected > ALPHA:
            return "unsure"
        if self.within is None:
            return "better" if self.found.value > 0 else "worse"
        return "kept" if self.found.value > -self.within else "lost"


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
    """Of one metric and dimension. Raises BadInput for a metric that doesn't pair up.

    within: asks whether ours is no worse than by this. p is then two-sided about that loss, twice the one-sided p of
    being no worse, so that "no worse" is as hard to say as "better" (ICH E9, 5.5: one side at half the level of two).
    """
    if metric not in COMPARED:
        where = f"metric: found {metric!r}, wanted one of {', '.join(COMPARED)}"
        raise BadInput("this metric can't be compared in pairs", where=where, next="name one of these")
    seeds, questions = together(ours, theirs)
    rows = [theirs.seeds[seeds[0]][name] for name in questions]
    inside = np.array([float(f"{row.dimension}d" == dimension) for row in rows])
    a, counts = table(ours, seeds, questions, metric)
    b, _ = table(theirs, seeds, questions, metric)
    null = -within if within else 0.0
    found = difference(a, b, counts * inside, [row.group for row in rows], null=null)
    return Compared(ours.name, theirs.name, metric, dimension, found, claim=claim, within=within)


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
    seeds, questions = together(run, run)
    rows = [run.seeds[seeds[0]][name] for name in questions]
    inside = np.array([float(f"{row.dimension}d" == dimension) for row in rows])
    sums, counts = table(run, seeds, questions, metric)
    return difference(sums, np.zeros_like(sums), counts * inside, [r.group for r in rows])


def changed(ours: Run, theirs: Run) -> list[Changed]:
    """Those that changed with most seeds first."""
    seeds, questions = together(ours, theirs)
    found = []
    for name in questions:
        pairs = [(ours.seeds[seed][name].right, theirs.seeds[seed][name].right) for seed in seeds]
        first = pairs[0]
        if first[0] != first[1]:
            dimension = ours.seeds[seeds[0]][name].dimension
            found.append(Changed(name, dimension, first[0], sum(pair == first for pair in pairs)))
    return sorted(found, key=lambda one: (-one.seeds, one.question))
