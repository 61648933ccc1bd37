"""95 % intervals: percentile bootstrap over studies, never over questions.

Questions about one head stand or fall together, so the unit drawn with replacement is the cluster (the
head a study was cut from). Nearly every metric is a ratio of sums, which makes a resample one matrix
product; drawing the clusters once for all metrics and checkpoints makes differences paired.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

TAILS = (2.5, 97.5)
"""Percentiles between which 95 % of the resamples lie."""


@dataclass(frozen=True, slots=True)
class Interval:
    value: float | None
    """None where nothing was counted."""
    low: float | None
    """None where one cluster is all there is: drawing it again says nothing."""
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
        if np.count_nonzero(counts_c) < 2:
            return Interval(value, None, None, n)
        held = self.weights @ counts_c
        drawn = (self.weights @ sums_c)[held > 0] / held[held > 0]
        low, high = np.percentile(drawn, TAILS)
        return Interval(value, float(low), float(high), n)

    def any(self, metric: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """A metric that is no ratio of sums.

        metric: from how often each question counts, float[draws, questions], to float[draws], NaN where undefined.
        """
        n = len(self.clusters)
        value = float(metric(np.ones((1, n)))[0]) if n else np.nan
        if np.isnan(value):
            return Interval(None, None, None, n)
        if self.weights.shape[1] < 2:
            return Interval(value, None, None, n)
        drawn = metric(self.weights[:, self.clusters])
        low, high = np.percentile(drawn[~np.isnan(drawn)], TAILS)
        return Interval(value, float(low), float(high), n)


def resample(groups: Sequence[str], draws: int, seed: int) -> Resamples:
    """Draw clusters with replacement, `draws` times.

    groups: the cluster of each question.
    """
    names, clusters = np.unique(np.array(groups), return_inverse=True)
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return Resamples(clusters, weights.astype(np.float64))


def tidy(value: float | None) -> float | None:
    """As it is published: to the fourth place."""
    return None if value is None else round(value, 4)
