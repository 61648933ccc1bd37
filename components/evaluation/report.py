"""From scored questions to the numbers that are published: `metrics.json` and the table made of it.

    checkpoint -> split -> "2d" | "3d" -> metric -> {"value", "low", "high", "n"}
                                       -> "by_family" | "by_contrast" | … -> slice -> metric -> …
                                       -> "selective" -> see `selective.selective`
    "difference" -> "rl - sft" -> split -> "2d" | "3d" -> metric -> …

Beside `accuracy` stand `baseline_majority` (never looks) and `baseline_blank` (the same checkpoint, asked
about a blank picture).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluation.intervals import Resamples
from components.evaluation.metrics import METRICS, Count, Scored
from components.evaluation.selective import selective

Tree = dict[str, Any]

IN_FULL = ("family", "contrast", "kind")
"""Slices told by every metric; the others by `IN_SHORT`."""
IN_SHORT = ("modality", "anatomy", "lesion_size", "subject", "training")
SHORT = ("accuracy", "box_iou", "hit_50", "side_correct")
SLICES = tuple(f"by_{kind}" for kind in IN_FULL + IN_SHORT)
COMPARED = tuple(metric for metric in METRICS if metric not in ("centre_error_mm", "accuracy_answered"))
"""Metrics whose count depends on the question alone, so that two checkpoints' answers pair up."""

TABLE = {
    "accuracy": "accuracy",
    "baseline_majority": "… by the majority answer",
    "baseline_blank": "… on a blank picture",
    "fine_accuracy": "… of what only a crop shows",
    "localisation_iou": "IoU, localisation",
    "lesion_iou": "IoU, lesions",
    "box_iou": "IoU, all boxes",
    "hit_50": "boxes of IoU .5 and more",
    "z_overlap": "z-range overlap",
    "centre_error_mm": "centre error, mm",
    "side_correct": "boxes on the right side",
    "valid_format": "valid format",
    "crops": "crops an answer",
}
"""Rows of the table and what they are called."""


def by_dimension(rows: Sequence[Scored], baselines: Mapping[str, Sequence[Count]], resamples: Resamples) -> Tree:
    """One split of one checkpoint.

    baselines: by name, a (sum, count) a row.
    """
    columns = _columns(rows) | {name: np.array(counts, float) for name, counts in baselines.items()}
    short = {name: column for name, column in columns.items() if name in SHORT or name in baselines}
    return {
        f"{dimension}d": _metrics(columns, resamples, _where(rows, dimension))
        | {"selective": _selective(rows, dimension)}
        | {f"by_{kind}": _slices(rows, columns, resamples, dimension, kind) for kind in IN_FULL}
        | {f"by_{kind}": _slices(rows, short, resamples, dimension, kind) for kind in IN_SHORT}
        for dimension in sorted({row.dimension for row in rows})
    }


def difference(ours: Sequence[Scored], theirs: Sequence[Scored], resamples: Resamples) -> Tree:
    """Ours minus theirs on the same questions, by dimension."""
    a, b = _columns(ours), _columns(theirs)
    both = {name: (a[name][:, 1] > 0) & (b[name][:, 1] > 0) for name in COMPARED}
    columns = {
        name: np.stack([a[name][:, 0] - b[name][:, 0], a[name][:, 1]], 1) * both[name][:, None] for name in COMPARED
    }
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


def _selective(rows: Sequence[Scored], dimension: int) -> Tree:
    """Of the questions whose truth is known, as far as their answers have a confidence."""
    known = [
        (row.confidence, row.counts["accuracy"][0] == 1)
        for row in rows
        if row.dimension == dimension and row.counts["accuracy"][1] and row.confidence is not None
    ]
    return selective([sure for sure, _ in known], [right for _, right in known])


def _slices(
    rows: Sequence[Scored],
    columns: Mapping[str, np.ndarray],
    resamples: Resamples,
    dimension: int,
    kind: str,
) -> Tree:
    names = np.array([row.slices[kind] for row in rows])
    inside = _where(rows, dimension)
    return {
        str(name): _metrics(columns, resamples, inside & (names == name))
        for name in sorted(set(names[inside].tolist()))
    }


def _metrics(columns: Mapping[str, np.ndarray], resamples: Resamples, inside: np.ndarray) -> Tree:
    """Every metric that says something about the questions inside."""
    found = {name: resamples.ratio(column[:, 0] * inside, column[:, 1] * inside) for name, column in columns.items()}
    return {name: interval.to_json() for name, interval in found.items() if interval.n}
