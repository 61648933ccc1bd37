"""From scored questions to the numbers that are published: `metrics.json` and the table made of it.

    checkpoint -> split -> "2d" | "3d" -> metric -> {"value", "low", "high", "n"}
                                       -> "by_family" | "by_contrast" | "by_kind" -> slice -> metric -> …
    "difference" -> "rl - sft" -> split -> "2d" | "3d" -> metric -> …

Beside `accuracy` stand `baseline_majority` (never looks) and `baseline_blank` (the same checkpoint, asked
about a blank picture).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluation.intervals import Resamples
from components.evaluation.metrics import METRICS, Count, Scored

Tree = dict[str, Any]

SLICES: dict[str, Callable[[Scored], str]] = {
    "by_family": lambda row: row.family,
    "by_contrast": lambda row: row.contrast,
    "by_kind": lambda row: row.kind,
}
COMPARED = tuple(metric for metric in METRICS if metric != "centre_error_mm")
"""Metrics whose count depends on the question alone, so that two checkpoints' answers pair up."""

TABLE = {
    "accuracy": "accuracy",
    "baseline_majority": "… by the majority answer",
    "baseline_blank": "… on a blank picture",
    "localisation_iou": "IoU, localisation",
    "lesion_iou": "IoU, lesions",
    "box_iou": "IoU, all boxes",
    "z_overlap": "z-range overlap",
    "centre_error_mm": "centre error, mm",
    "valid_format": "valid format",
    "crops": "crops an answer",
}
"""Rows of the table and what they are called."""


def by_dimension(rows: Sequence[Scored], baselines: Mapping[str, Sequence[Count]], resamples: Resamples) -> Tree:
    """One split of one checkpoint.

    baselines: by name, a (sum, count) a row.
    """
    columns = _columns(rows) | {name: np.array(counts, float) for name, counts in baselines.items()}
    return {
        f"{dimension}d": _metrics(columns, resamples, _where(rows, dimension))
        | {name: _slices(rows, columns, resamples, dimension, of) for name, of in SLICES.items()}
        for dimension in sorted({row.dimension for row in rows})
    }


def difference(ours: Sequence[Scored], theirs: Sequence[Scored], resamples: Resamples) -> Tree:
    """Ours minus theirs on the same questions, by dimension."""
    a, b = _columns(ours), _columns(theirs)
    columns = {name: np.stack([a[name][:, 0] - b[name][:, 0], a[name][:, 1]], 1) for name in COMPARED}
    return {
        f"{dimension}d": _metrics(columns, resamples, _where(ours, dimension))
        for dimension in sorted({row.dimension for row in ours})
    }


def flat(tree: Tree, prefix: str = "") -> dict[str, float]:
    """The headline numbers by path ("rl/test/2d/accuracy", "…/low", "…/high"); slices are left out."""
    found: dict[str, float] = {}
    for name, branch in tree.items():
        if name in SLICES or not isinstance(branch, dict):
            continue
        path = f"{prefix}{name}"
        if "value" not in branch:
            found |= flat(branch, f"{path}/")
        elif branch["value"] is not None:
            found[path] = branch["value"]
            found |= {f"{path}/{end}": branch[end] for end in ("low", "high") if branch[end] is not None}
    return found


def table(tree: Tree, split: str = "test") -> str:
    """Markdown, aligned to be read as it is: a row a metric, a column a checkpoint and dimension."""
    columns = {
        f"{checkpoint} {dimension.upper()}": tree[checkpoint][split][dimension]
        for dimension in ("2d", "3d")
        for checkpoint in tree
        if dimension in tree[checkpoint].get(split, {})
    }
    rows = [["", *columns]]
    rows += [[title, *(_cell(metrics.get(name)) for metrics in columns.values())] for name, title in TABLE.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(map(str.ljust, row, widths))} |\n" for row in rows)


def _cell(interval: Mapping[str, Any] | None) -> str:
    if not interval or interval["value"] is None:
        return "–"
    if interval["low"] is None:
        return f"{interval['value']:.2f}"
    return f"{interval['value']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def _columns(rows: Sequence[Scored]) -> dict[str, np.ndarray]:
    """float[questions, 2] of (sum, count) by metric."""
    return {name: np.array([row.counts[name] for row in rows], float) for name in METRICS}


def _where(rows: Sequence[Scored], dimension: int) -> np.ndarray:
    return np.array([row.dimension == dimension for row in rows])


def _slices(
    rows: Sequence[Scored],
    columns: Mapping[str, np.ndarray],
    resamples: Resamples,
    dimension: int,
    of: Callable[[Scored], str],
) -> Tree:
    names = np.array([of(row) for row in rows])
    inside = _where(rows, dimension)
    return {
        str(name): _metrics(columns, resamples, inside & (names == name))
        for name in sorted(set(names[inside].tolist()))
    }


def _metrics(columns: Mapping[str, np.ndarray], resamples: Resamples, inside: np.ndarray) -> Tree:
    """Every metric that says something about the questions inside."""
    found = {name: resamples.ratio(column[:, 0] * inside, column[:, 1] * inside) for name, column in columns.items()}
    return {name: interval.to_json() for name, interval in found.items() if interval.n}
