"""Answers and how sure they were: what is risked at which coverage, and whether the chances said are true ones.

A confidence is a number in [0, 1] beside whether the answer was right; where it comes from is the caller's. Without
a calibration of its own an answer's is the geometric mean probability of its tokens: it ranks answers but is no chance.
"""

from collections.abc import Sequence
from math import exp, isfinite
from typing import Any

import numpy as np

from components.evaluation.intervals import tidy
from model.interface.trace import Trace

BINS = 10
COVERAGES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the answers that are kept, the surest first."""


def confidence(trace: Trace) -> float | None:
    """Of an answer, in (0, 1]: the geometric mean probability of what was sampled; None of nothing, or of a NaN."""
    if not trace.sampled or not isfinite(trace.mean_logprob):
        return None
    return min(1.0, exp(trace.mean_logprob))


def brier(chance: float, right: bool) -> float:
    """Squared distance from what came (Brier 1950); its mean is the score."""
    return (chance - right) ** 2


def calibration_error(chances: Sequence[float], right: Sequence[bool]) -> float | None:
    """Expected calibration error in `BINS` equal bins (Guo et al. 2017, arXiv 1706.04599); None of nothing."""
    p, y = np.asarray(chances, float), np.asarray(right, float)
    if not len(p):
        return None
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    gaps = [abs(p[bins == b].sum() - y[bins == b].sum()) for b in np.unique(bins)]
    return float(sum(gaps) / len(p))


def risk_coverage(chances: Sequence[float], right: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """(coverage, risk), float[n] each: the share that is wrong among the k surest, k from 1 to n.

    El-Yaniv & Wiener 2010 (jmlr.org/papers/v11/el-yaniv10a.html). Of equally sure answers each counts as their mean,
    so that their order doesn't matter.
    """
    p, wrong = np.asarray(chances, float), 1 - np.asarray(right, float)
    levels, level_of = np.unique(-p, return_inverse=True)
    counts = np.bincount(level_of, minlength=len(levels))
    means = np.bincount(level_of, wrong, len(levels)) / np.maximum(counts, 1)
    kept = np.arange(1, len(p) + 1)
    return kept / max(1, len(p)), np.repeat(means, counts).cumsum() / kept


def selective(chances: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    """What is published: the area under risk against coverage, risk at some coverages, calibration error, n."""
    _, risk = risk_coverage(chances, right)
    n = len(risk)
    at = {f"{share:g}": tidy(float(risk[max(0, round(share * n) - 1)])) if n else None for share in COVERAGES}
    area = tidy(float(risk.mean())) if n else None
    return {"area": area, "risk_at_coverage": at, "calibration_error": tidy(calibration_error(chances, right)), "n": n}
