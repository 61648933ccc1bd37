"""Is one run better than another? Paired differences over heads, and over seeds where there are several.

Both runs answer the same questions. A head's questions stand or fall together, and a seed moves all of its answers at
once, so heads and seeds are two crossed sources of chance. Both are drawn with replacement (the pigeonhole bootstrap,
Owen 2007, doi:10.1214/07-AOAS122), which counts the chance of a single answer three times; so the spread of the draws
is brought to the two-way clustered variance (Cameron, Gelbach & Miller 2011, doi:10.1198/jbes.2010.07136), and widened
as Student's t says for so few seeds (Satterthwaite's degrees of freedom).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from components.evaluation.intervals import TAILS, tidy


@dataclass(frozen=True, slots=True)
class Difference:
    value: float | None
    """Ours less theirs, a mean over seeds; None where nothing was counted."""
    low: float | None
    """95 % interval; None with fewer than two heads."""
    high: float | None
    p: float | None
    """Two-sided, of no difference, by the same draws; never below 2 / (draws + 1)."""
    n: int
    """Questions, or boxes of a metric of boxes, of one seed."""
    seeds: int

    def to_json(self) -> dict[str, float | int | None]:
        told = {"value": tidy(self.value), "low": tidy(self.low), "high": tidy(self.high)}
        return told | {"p": None if self.p is None else float(f"{self.p:.2g}"), "n": self.n, "seeds": self.seeds}


def difference(
    ours: np.ndarray, theirs: np.ndarray, counts: np.ndarray, groups: Sequence[str], *, draws: int, seed: int
) -> Difference:
    """Of sum / count between two runs.

    ours, theirs: float[seeds, questions], the sums of a metric, the k-th seeds of both paired.
    counts: float[questions], the same for both runs; 0 outside the slice looked at.
    groups: the head of each question.
    """
    n, seeds = int(counts.sum()), len(ours)
    if n == 0:
        return Difference(None, None, None, None, 0, seeds)
    gaps_SH, counts_H = _by_head(ours - theirs, counts, groups)
    value = float(gaps_SH.mean(0).sum() / counts_H.sum())
    if len(counts_H) < 2:
        return Difference(value, None, None, None, n, seeds)
    drawn = _drawn(gaps_SH, counts_H, draws, np.random.default_rng(seed))
    variance, freedom = _variance(gaps_SH, counts_H)
    spread = sqrt(variance / drawn.var()) if drawn.var() else 1.0
    drawn = value + (drawn - value) * spread * stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975)
    low, high = np.percentile(drawn, TAILS)
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return Difference(value, float(low), float(high), min(1.0, 2 * float(1 + beyond) / (1 + draws)), n, seeds)


def holm(chances: Sequence[float]) -> list[float]:
    """p-values corrected for how many are looked at (Holm 1979), in their order."""
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
    gaps_SH = np.stack([np.bincount(head_of, row * (counts > 0), len(names)) for row in gaps])
    return gaps_SH[:, counts_H > 0], counts_H[counts_H > 0]


def _drawn(gaps_SH: np.ndarray, counts_H: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """float[draws]: the difference on heads and seeds drawn with replacement; of one seed, on heads alone."""
    seeds, heads = gaps_SH.shape
    weights_H = random.multinomial(heads, np.full(heads, 1 / heads), size=draws)
    weights_S = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    return ((weights_S @ gaps_SH) * weights_H).sum(1) / (weights_H @ counts_H)


def _variance(gaps_SH: np.ndarray, counts_H: np.ndarray) -> tuple[float, float]:
    """Of the difference, and its degrees of freedom.

    heads + max(0, seeds - answers), each the variance of the mean that it alone would give; a ratio's is that of its
    residuals. An answer's own chance is in both heads and seeds.
    """
    seeds, heads = gaps_SH.shape
    rates_S = gaps_SH.sum(1) / counts_H.sum()
    residuals_SH = (gaps_SH - rates_S[:, None] * counts_H) / counts_H.mean()
    by_head = residuals_SH.mean(0).var(ddof=1) / heads
    if seeds == 1:
        return float(by_head), heads - 1
    own = residuals_SH - residuals_SH.mean(0)
    by_answer = (own**2).sum() / ((seeds - 1) * (heads - 1)) / (seeds * heads)
    by_seed = max(0.0, rates_S.var(ddof=1) / seeds - by_answer)
    both = by_head + by_seed
    freedom = both**2 / (by_head**2 / (heads - 1) + by_seed**2 / (seeds - 1)) if both else heads - 1
    return float(both), float(freedom)
