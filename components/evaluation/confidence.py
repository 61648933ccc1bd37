"""Stage `confidence`: is a box right, and how sure is that? Calibrated on the validation split, judged on another.

    python -m components.evaluation.confidence

Each question is answered greedily and by a few samples. A box is right where it meets the one that the rationale points
at in the same place with an IoU of at least `right_iou`; a box that the rationale doesn't have is left out. Isotonic
regression makes a probability of each signal; below `threshold` the answer abstains from pointing. Writes
calibration.json (what `urm ask` reads), metrics.json and reliability.png.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.evaluation.confidence_config import ConfidenceConfig
from components.evaluation.intervals import Resamples, resample
from components.evaluation.run import Exam, read_exam
from components.stage import command
from model.imaging import shards
from model.interface.boxes import iou
from model.interface.writing import replacing, write_text
from model.vlm import calibration as calibrations
from model.vlm import checkpoint as folders
from model.vlm.calibration import SIGNALS, Asked, Calibration
from model.vlm.checkpoint import Checkpoint
from model.vlm.confidence import Pointed, pointed
from model.vlm.engine import roll_out
from model.vlm.rollout import Rollout
from model.vlm.sampling import ASKED

BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    pointed: Pointed
    right: bool
    group: str
    """The head it was about."""


def run(config: ConfidenceConfig) -> dict[str, Any]:
    """Fit, judge and write; what metrics.json holds."""
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    shards.verify(config.data)
    checkpoint = folders.load(config.checkpoint)
    asked = Asked(checkpoint.digest, checkpoint.contract.digest(), config.samples, config.temperature, config.seed)
    fit, judged = (
        judge(checkpoint, read_exam(config.data, split, checkpoint), asked, config)
        for split in (config.fit, config.judge)
    )
    right = [one.right for one in judged]
    resamples = resample([one.group for one in judged], config.draws, config.seed) if judged else None
    figures: dict[str, Any] = {}
    fitted: dict[str, Calibration] = {}
    for signal in SIGNALS:
        raw = [getattr(one.pointed, signal) for one in fit]
        made = fitted[signal] = Calibration.fitted(signal, raw, [one.right for one in fit], config.threshold, asked)
        if resamples is None or made.empty:
            continue
        before = [getattr(one.pointed, signal) for one in judged]
        after = [made.probability(one.pointed) for one in judged]
        figures[signal] = {
            "uncalibrated": measured(before, right, resamples),
            "calibrated": measured(after, right, resamples),
            "shown": shown(after, right, config.threshold, resamples),
        }
    tree = {
        "checkpoint": checkpoint.digest,
        "data": shards.digest(config.data),
        "config": config.model_dump(mode="json", exclude={"threads", "out"}),
        "boxes": {"fit": len(fit), "judged": len(judged), "right": sum(right)},
        "signals": figures,
    }
    write_text(config.out / calibrations.FILE, json.dumps(fitted[config.signal].to_json(), indent=1) + "\n")
    write_text(config.out / "metrics.json", json.dumps(tree, indent=1) + "\n")
    draw(config.out / "reliability.png", fitted[config.signal], judged)
    return tree


def judge(checkpoint: Checkpoint, exam: Exam, asked: Asked, config: ConfidenceConfig) -> list[Judged]:
    """Every box of the greedy answers that the rationale has a counterpart to."""
    chosen = spread(len(exam.questions), config.questions)
    pairs = [(exam.prepared[i], exam.questions[i]) for i in chosen]
    greedy = roll_out(checkpoint, pairs, ASKED)
    pointing = [k for k, rollout in enumerate(greedy) if any(step.box for step in rollout.steps)]
    drawn = roll_out(checkpoint, [pairs[k] for k in pointing for _ in range(asked.samples)], asked.sampling)
    found = []
    for n, k in enumerate(pointing):
        samples = drawn[n * asked.samples : (n + 1) * asked.samples]
        found += _judged(greedy[k], samples, exam.groups[chosen[k]], checkpoint, config.right_iou)
    return found


def spread(n: int, some: int | None) -> list[int]:
    """Places of `some` of n, at even distances; all of them where None, or where there are no more."""
    return list(range(n)) if some is None or some >= n else [i * n // some for i in range(some)]


def _judged(
    rollout: Rollout, samples: Sequence[Rollout], group: str, checkpoint: Checkpoint, right_iou: float
) -> list[Judged]:
    """The i-th box against the i-th of the rationale, as in `metrics`; boxes drawn in vain keep their place."""
    targets = [rollout.prepared.frame.to_model(r.box) for r in rollout.question.rationale if r.box]
    drawn = [step.box for step in rollout.steps if step.box or step.flaw]
    sure = iter(pointed(rollout, samples, checkpoint.vocabulary))
    known = [(box, next(sure) if box else None) for box in drawn]
    return [Judged(p, iou(t, b) >= right_iou, group) for t, (b, p) in zip(targets, known, strict=False) if b and p]


def measured(chances: Sequence[float], right: Sequence[bool], resamples: Resamples) -> dict[str, Any]:
    """Brier score, expected calibration error in `BINS` equal bins, the chance that a right box outranks a wrong."""
    p, y = np.asarray(chances, float), np.asarray(right, float)
    return {
        "brier": resamples.ratio((p - y) ** 2, np.ones(len(p))).to_json(),
        "ece": resamples.any(lambda counts: calibration_error(p, y, counts)).to_json(),
        "auroc": resamples.any(lambda counts: outranking(p, y, counts)).to_json(),
    }


def calibration_error(p: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """float[draws]: over bins, the distance of mean probability and share that was right, weighted by boxes.

    counts: float[draws, boxes], how often each counts.
    """
    inside = np.eye(BINS)[_bins(p)]
    return np.abs((counts * (p - y)) @ inside).sum(1) / counts.sum(1)


def outranking(p: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """float[draws]: area under the ROC curve, ties counting half; NaN where all are right or all wrong."""
    good, bad = y == 1, y == 0
    wins = (p[good][:, None] > p[bad]) + (p[good][:, None] == p[bad]) / 2
    pairs = counts[:, good].sum(1) * counts[:, bad].sum(1)
    won = ((counts[:, good] @ wins) * counts[:, bad]).sum(1)
    return np.divide(won, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)


def reliability(p: np.ndarray, y: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean probability, share that was right, boxes) of each bin that holds any."""
    bins = _bins(p)
    return [(float(p[bins == b].mean()), float(y[bins == b].mean()), int((bins == b).sum())) for b in np.unique(bins)]


def _bins(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * BINS).astype(int), BINS - 1)


def shown(chances: Sequence[float], right: Sequence[bool], threshold: float, resamples: Resamples) -> dict[str, Any]:
    """What abstaining does: the share of boxes shown, and of those how many are right, against all."""
    p, y = np.asarray(chances, float), np.asarray(right, float)
    kept, everyone = (p >= threshold).astype(float), np.ones(len(p))
    return {
        "threshold": threshold,
        "coverage": resamples.ratio(kept, everyone).to_json(),
        "right": resamples.ratio(y * kept, kept).to_json(),
        "right_of_all": resamples.ratio(y, everyone).to_json(),
    }


def draw(file: Path, calibration: Calibration, judged: Sequence[Judged]) -> None:
    """The reliability diagram of the judged split, before and after."""
    from matplotlib.figure import Figure

    judged = [] if calibration.empty else judged
    y = np.array([one.right for one in judged], float)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, label="perfect")
    before = np.array([getattr(one.pointed, calibration.signal) for one in judged])
    after = np.array([calibration.probability(one.pointed) for one in judged])
    for name, p, colour in ((f"{calibration.signal}, as it is", before, "C1"), ("calibrated", after, "C0")):
        bins = reliability(p, y) if len(p) else []
        axes.plot([b[0] for b in bins], [b[1] for b in bins], "o-", color=colour, label=name)
        for said, was, n in bins:
            axes.annotate(str(n), (said, was), xytext=(4, -10), textcoords="offset points", fontsize=7, color=colour)
    axes.axvline(calibration.threshold, color="grey", linestyle=":", label="abstains below")
    axes.set(xlabel="confidence", ylabel="share of boxes that are right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    with replacing(file) as part:
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    sys.exit(command("confidence", ConfidenceConfig, run))
