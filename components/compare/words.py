"""How numbers and metrics are told to people, in tables, plots and lines alike."""

from components.evaluation.paired import Difference

METRICS = {
    "accuracy": "accuracy",
    "fine_accuracy": "accuracy where only a crop shows it",
    "sampled_accuracy": "accuracy of sampled answers",
    "box_iou": "IoU of boxes",
    "valid_format": "valid format",
    "localisation_iou": "IoU of localisation boxes",
    "lesion_iou": "IoU of lesion boxes",
    "hit_50": "boxes of IoU .5 and more",
    "z_overlap": "z-range overlap",
}
BETTER = {"brier": -1, "flaws": -1, "tool_rate": 0, "crops": 0, "boxes": 0, "length": 0}
"""Which way of a metric is the better one: -1 less, 0 neither; 1, more, of those that aren't named."""
AMOUNTS = ("flaws", "crops", "boxes", "length")
"""Metrics that are counted; all others lie in 0..1."""
ONE_SEED = "the interval is chance of heads only, two checkpoints are judged, not two ways of training"
"""What is to be said where one seed each is compared."""


def metric_words(name: str) -> str:
    return METRICS.get(name, name.replace("_", " "))


def measured(metric: str, dimension: str, within: float | None) -> str:
    """What a row is of, and the loss its claim allows: "IoU of boxes, 2D, within 0.02"."""
    return f"{metric_words(metric)}, {dimension.upper()}" + (f", within {within:g}" if within else "")


def better(metric: str) -> int:
    """1, -1 or 0: see `BETTER`."""
    return BETTER.get(metric, 1)


def signed(value: float) -> str:
    """To the third place, with its sign; nothing has none."""
    return f"{round(value, 3) + 0.0:+.3f}".replace("+0.000", "0.000")


def plain(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"


def interval(found: Difference, *, with_sign: bool = False) -> str:
    """ "0.81 [0.77, 0.85]", "–" where nothing was counted."""
    if found.value is None:
        return "–"
    form = signed if with_sign else plain
    ends = "" if found.low is None or found.high is None else f" [{form(found.low)}, {form(found.high)}]"
    return form(found.value) + ends


def chance(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
