"""Is one run better than another? Paired differences over heads, and over seeds where there are several.

Both runs answer the same questions. A head's questions stand or fall together, and a seed moves all of its answers at
once, so heads and seeds are two crossed sources of chance, and a single answer's own chance is in both: the variance is
seeds + heads - answers (Cameron, Gelbach & Miller 2011, doi:10.1198/jbes.2010.07136; the mean squares of a two-way
layout). With five seeds and forty heads it is the seeds' that is hardly known, so the answers' is taken from the
heads', and a loss of certainty is paid where it arises, by Student's t of each part:

    (half an interval)² = t²(seeds - 1) seeds + t²(heads - 1) max(0, heads - answers)

which is never too narrow where both parts are mean squares of normal chance (Banerjee 1961, Sankhya A 23, "On
confidence interval for two-means problem based on separate estimates of variances and tabulated values of t-table"),
and is read backwards for p. One pooled t with Satterthwaite's degrees of freedom is not: seeds that are calm by luck
make the variance small and its freedom large at once, which tells most in the tail, where Holm looks. Seeds that hardly
vary cost little; of one seed, or of seeds that alone count, this is the paired t test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import optimize, special

from components.evaluation.intervals import FEWEST, tidy

ALPHA = 0.05
"""What an interval leaves out, both ends together; what p is judged by."""
CALM = 0.025
"""Seeds are taken to vary no less than their answers' own chance lets them with this probability: two seeds of few
questions are often equal by rounding, and say nothing by that."""
LEAST = 1e-12
"""p is never told to be smaller."""


@dataclass(frozen=True, slots=True)
class Difference:
    value: float | None
    """Ours less theirs, a mean over seeds; None where nothing was counted."""
    low: float | None
    """95 % interval; None with fewer than `intervals.FEWEST` heads, as p is."""
    high: float | None
    p: float | None
    """Two-sided, of no difference or of the one it was asked of: at most .05 where that lies outside the interval."""
    n: int
    """Questions, or boxes of a metric of boxes, of one seed."""
    seeds: int

    def to_json(self) -> dict[str, float | int | None]:
        told = {"value": tidy(self.value), "low": tidy(self.low), "high": tidy(self.high)}
        return told | {"p": None if self.p is None else float(f"{self.p:.2g}"), "n": self.n, "seeds": self.seeds}


def difference(
    ours: np.ndarray, theirs: np.ndarray, counts: np.ndarray, groups: Sequence[str], *, null: float = 0.0
) -> Difference:
    """Of sum / count between two runs.

    ours, theirs: float[seeds, questions], the sums of a metric, the k-th seeds of both paired.
    counts: float[questions], the same for both runs; 0 outside the slice looked at.
    groups: the head of each question.
    null: the difference that p is of.

    Raises ValueError for a sum that counts and is no number: a row of NaN is no evidence either way.
    """
    n, seeds = int(counts.sum()), len(ours)
    if n == 0:
        return Difference(None, None, None, None, 0, seeds)
    gaps_SH, counts_H = _by_head(ours - theirs, counts, groups)
    value = float(gaps_SH.mean(0).sum() / counts_H.sum())
    if len(counts_H) < FEWEST:
        return Difference(value, None, None, None, n, seeds)
    parts = _parts(gaps_SH, counts_H)
    half = _half(parts, ALPHA)
    return Difference(value, value - half, value + half, _chance(parts, abs(value - null)), n, seeds)


def holm(chances: Sequence[float]) -> list[float]:
    """p-values corrected for how many are looked at (Holm 1979), in their order. Raises ValueError for no number."""
    _finite("p", np.asarray(chances, float))
    order = np.argsort(chances, kind="stable")
    raised = [min(1.0, chances[place] * (len(chances) - rank)) for rank, place in enumerate(order)]
    corrected = np.maximum.accumulate(raised)
    found = np.empty(len(chances))
    found[order] = corrected
    return found.tolist()


def _by_head(gaps: np.ndarray, counts: np.ndarray, groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sums float[seeds, heads] and counts float[heads], of heads that have any."""
    names, head_of = np.unique(np.array(groups), return_inverse=True)
    counts_H = np.bincount(head_of, counts, len(names))
    counted = np.where(counts > 0, gaps, 0)
    _finite("sums, (seed, question)", counted)
    gaps_SH = np.stack([np.bincount(head_of, row, len(names)) for row in counted])
    return gaps_SH[:, counts_H > 0], counts_H[counts_H > 0]


def _finite(name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        place = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise ValueError(f"{name} {place}: found {values[place]}, wanted a finite number")


def _parts(gaps_SH: np.ndarray, counts_H: np.ndarray) -> list[tuple[float, int]]:
    """(variance of the difference, its degrees of freedom) of each part that chance is made of.

    Each is the variance of the mean that it alone would give; a ratio's is that of its residuals.
    """
    seeds, heads = gaps_SH.shape
    rates_S = gaps_SH.sum(1) / counts_H.sum()
    residuals_SH = (gaps_SH - rates_S[:, None] * counts_H) / counts_H.mean()
    by_head = float(residuals_SH.mean(0).var(ddof=1)) / heads
    if seeds == 1:
        return [(by_head, heads - 1)]
    own = residuals_SH - residuals_SH.mean(0)
    by_answer = float((own**2).sum()) / ((seeds - 1) * (heads - 1)) / (seeds * heads)
    calmest = by_answer * float(special.chdtri(seeds - 1, 1 - CALM)) / (seeds - 1)
    by_seed = max(float(rates_S.var(ddof=1)) / seeds, calmest)
    return [(by_seed, seeds - 1), (max(0.0, by_head - by_answer), heads - 1)]


def _half(parts: Sequence[tuple[float, int]], chance: float) -> float:
    """Half the interval that leaves out so much."""
    return sqrt(sum(variance * float(special.stdtrit(freedom, chance / 2)) ** 2 for variance, freedom in parts))


def _chance(parts: Sequence[tuple[float, int]], far: float) -> float:
    """Two-sided p of what lies so far off: what the interval leaves out that just reaches it."""
    if not far:
        return 1.0
    if _half(parts, LEAST) <= far:
        return LEAST
    return float(optimize.root_scalar(lambda chance: _half(parts, chance) - far, bracket=(LEAST, 1.0)).root)
