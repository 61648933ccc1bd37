"""95 % intervals: percentile bootstrap over studies, never over questions.

Questions about one head stand or fall together, so the unit drawn with replacement is the cluster (the
head a study was cut from). Nearly every metric is a ratio of sums, which makes a resample one matrix
product; drawing the clusters once for all metrics and checkpoints makes differences paired.

Few clusters hardly differ from one another when they are drawn again, so what they say is far too narrow, and of two
that are alike it has no width at all: `FEWEST` is the one rule on that. Also too narrow, and told all the same: shares
near 0 or 1 of few clusters (docs/evidence.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TAILS = (2.5, 97.5)
"""Percentiles between which 95 % of the resamples lie."""
FEWEST = 10
"""With fewer clusters that count no interval is told: of two its 95 % cover the truth in about 50 of 100 worlds, of
three in 74, of five in 87, of ten in 92."""


@dataclass(frozen=True, slots=True)
class Interval:
    value: float | None
    """None where nothing was counted."""
    low: float | None
    """None with fewer than `FEWEST` clusters."""
    high: float | None
    n: int
    """Questions, or boxes for a metric of boxes."""

    def to_json(self) -> dict[str, float | int | None]:
        return {"value": tidy(self.value), "low": tidy(self.low), "high": tidy(self.high), "n": self.n}


@dataclass(frozen=True, eq=False)
class Resamples:
    clusters: np.ndarray
    """int[questions], which cluster a question belongs to."""
    weights: np.ndarray
    """float[draws, clusters], how often a cluster was drawn."""

    def ratio(self, sums: np.ndarray, counts: np.ndarray) -> Interval:
        """sum(sums) / sum(counts) with its interval; both float[questions], 0 outside the slice looked at.

        Two metrics with the same counts differ by the ratio of the difference of their sums.
        """
        n = int(counts.sum())
        if n == 0:
            return Interval(None, None, None, 0)
        value = float(sums.sum() / counts.sum())
        size = self.weights.shape[1]
        sums_c = np.bincount(self.clusters, sums, size)
        counts_c = np.bincount(self.clusters, counts, size)
        held = self.weights @ counts_c
        drawn = (self.weights @ sums_c)[held > 0] / held[held > 0]
        return Interval(value, *ends(drawn, int(np.count_nonzero(counts_c))), n)

    def any(self, metric: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """A metric that is no ratio of sums.

        metric: from how often each question counts, float[draws, questions], to float[draws], NaN where undefined.
        """
        n = len(self.clusters)
        value = float(metric(np.ones((1, n)))[0]) if n else np.nan
        if np.isnan(value):
            return Interval(None, None, None, n)
        drawn = metric(self.weights[:, self.clusters])
        return Interval(value, *ends(drawn[~np.isnan(drawn)], self.weights.shape[1]), n)


def resample(groups: Sequence[str], draws: int, seed: int) -> Resamples:
    """Draw clusters with replacement, `draws` times.

    groups: the cluster of each question.
    """
    names, clusters = np.unique(np.array(groups), return_inverse=True)
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return Resamples(clusters, weights.astype(np.float64))


def ends(drawn: np.ndarray, clusters: int) -> tuple[float | None, float | None]:
    """(low, high) of what was drawn, float[draws], from so many clusters that count; none of too few."""
    if clusters < FEWEST:
        return None, None
    low, high = np.percentile(drawn, TAILS)
    return float(low), float(high)


def tidy(value: float | None) -> float | None:
    """As it is published: to the fourth place."""
    return None if value is None else round(value, 4)
