"""A row of numbers about one answer: what the picture was like, and how the model behaved on it.

Nothing in a row can name a person or remake a picture. Rows of one study are merged into one, because
tests of drift take rows as independent and two questions about one study aren't.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from statistics import fmean

import numpy as np

from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.trace import Trace

BACKGROUND = 8
"""Grey levels (of 255) below which a pixel shows nothing."""

PICTURE = (
    "intensity_mean",
    "intensity_std",
    "intensity_p10",
    "intensity_p50",
    "intensity_p90",
    "intensity_entropy",
    "foreground_share",
    "edge_strength",
)
CONDUCT = ("boxes", "box_share", "crops", "sampled_tokens", "mean_logprob", "valid_format")
NUMERICAL = PICTURE + CONDUCT
CATEGORICAL = ("letter",)

Row = dict[str, float | str]


def row(trace: Trace, prepared: Prepared) -> Row:
    return {**picture(prepared.slices), **conduct(trace)}


def picture(slices: np.ndarray) -> dict[str, float]:
    """Statistics of what is shown, over the foreground alone, so that the size of the head doesn't count.

    slices: uint8 [n, h, w], or [n, h, w, 3], whose channels are averaged.
    """
    slices = slices if slices.ndim == 3 else slices.mean(-1).astype(np.uint8)
    shown = slices[slices >= BACKGROUND]
    seen = shown if shown.size else np.zeros(1, np.uint8)
    p10, p50, p90 = (float(n) for n in np.percentile(seen, (10, 50, 90)))
    share = np.bincount(seen >> 3, minlength=32) / seen.size
    across = np.abs(np.diff(slices.astype(np.int16), axis=-1))
    return {
        "intensity_mean": float(seen.mean()),
        "intensity_std": float(seen.std()),
        "intensity_p10": p10,
        "intensity_p50": p50,
        "intensity_p90": p90,
        "intensity_entropy": float(-(share[share > 0] * np.log2(share[share > 0])).sum()),
        "foreground_share": shown.size / slices.size,
        "edge_strength": float(across.mean()),
    }


def conduct(trace: Trace) -> Row:
    """How the answer was given."""
    evidence = trace.answer.evidence
    return {
        "boxes": float(len(evidence)),
        "box_share": fmean(_share(box, trace.shape) for box in evidence) if evidence else 0.0,
        "crops": float(sum(step.crops for step in trace.steps)),
        "sampled_tokens": float(trace.sampled),
        "mean_logprob": trace.mean_logprob,
        "valid_format": float(trace.valid_format),
        "letter": trace.answer.choice or "none",
    }


def by_study(rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """One row a study: the mean of its numbers, its first answer's letter.

    rows: (study, row), in the order asked.
    """
    studies: dict[str, list[Row]] = {}
    for study, one in rows:
        studies.setdefault(study, []).append(one)
    return [_merged(found) for found in studies.values()]


def _merged(rows: Sequence[Mapping[str, float | str]]) -> Row:
    numbers: Row = {name: fmean(float(one[name]) for one in rows) for name in NUMERICAL}
    return numbers | {name: rows[0][name] for name in CATEGORICAL}


def _share(box: Box, shape: Sequence[int]) -> float:
    """Share of model space a box covers."""
    return prod(box.size) / prod(shape)
