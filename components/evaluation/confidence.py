"""Is a box right, and how sure is that? Signals calibrated on the validation split, judged on another.

    python -m components.evaluation.confidence

Each question is answered greedily and by a few samples. A box is right where it meets the one that the rationale points
at in the same place with an IoU of at least `right_iou`; a box that the rationale doesn't have is left out. Isotonic
regression makes a probability of each signal; below `threshold` the answer should abstain from pointing. Writes
calibration.json (what `Calibration` reads), metrics.json and reliability.png.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from components.evaluation.run import Exam, read_exam
from components.stage import command
from model.imaging import shards
from model.interface.boxes import iou
from model.interface.strict_json import read_json
from model.interface.writing import replacing, write_text
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.confidence import Pointed, pointed
from model.vlm.engine import roll_out
from model.vlm.rollout import Rollout
from model.vlm.sampling import Sampling

Signal = Literal["likelihood", "agreement", "raw"]
SIGNALS: tuple[Signal, ...] = ("likelihood", "agreement", "raw")
BINS = 10
DIGITS = 6
"""Of a signal: closer ones are alike."""


class ConfidenceConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    checkpoint: Path = Path("checkpoints/rl")
    fit: str = "val"
    """Split that calibration is fitted on."""
    judge: str = "test"
    """Split that it is judged on."""
    signal: Signal = "raw"
    """What becomes the probability that is written; "raw" joins the two others."""
    samples: int = Field(default=4, ge=0)
    """Further answers to each question; 0 leaves agreement out."""
    temperature: float = Field(default=1.0, gt=0)
    right_iou: float = Field(default=0.5, gt=0, le=1)
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Least probability at which a box is worth showing."""
    questions: int | None = Field(default=None, ge=1)
    """Of each split, the first so many; None for all."""
    seed: int = 0
    threads: int | None = None
    out: Path = Path("results/confidence")


@dataclass(frozen=True, slots=True)
class Judged:
    pointed: Pointed
    right: bool


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising step function from a signal to the share of boxes that were right; straight lines between its knots."""

    signal: Signal
    knots: np.ndarray
    """float[k], ascending."""
    shares: np.ndarray
    """float[k], ascending, in [0, 1]."""
    threshold: float

    @classmethod
    def fitted(cls, signal: Signal, raw: Sequence[float], right: Sequence[bool], threshold: float) -> "Calibration":
        """Isotonic regression; each level of the fit keeps its first and last signal. Raises ValueError on nothing."""
        from scipy.optimize import isotonic_regression

        if not len(raw):
            raise ValueError("no boxes to calibrate on")
        levels, place = np.unique(np.round(raw, DIGITS), return_inverse=True)
        weights = np.bincount(place)
        shares = np.bincount(place, np.asarray(right, float)) / weights
        fit = isotonic_regression(shares, weights=weights.astype(float)).x
        inner = np.r_[False, (fit[1:-1] == fit[:-2]) & (fit[1:-1] == fit[2:]), False][: len(fit)]
        return cls(signal, levels[~inner], fit[~inner], threshold)

    def probability(self, one: Pointed) -> float:
        """That the box is right."""
        return float(np.interp(round(getattr(one, self.signal), DIGITS), self.knots, self.shares))

    def abstains(self, one: Pointed) -> bool:
        return self.probability(one) < self.threshold

    def to_json(self) -> dict[str, Any]:
        told = {"knots": self.knots.tolist(), "shares": self.shares.round(DIGITS).tolist()}
        return {"signal": self.signal, "threshold": self.threshold} | told

    @classmethod
    def load(cls, file: Path) -> "Calibration":
        row = read_json(file)
        return cls(row["signal"], np.array(row["knots"]), np.array(row["shares"]), row["threshold"])


def run(config: ConfidenceConfig) -> dict[str, Any]:
    """Fit, judge and write; what metrics.json holds."""
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    shards.verify(config.data)
    checkpoint = folders.load(config.checkpoint)
    fit, judged = (judge(checkpoint, read_exam(config.data, s, checkpoint), config) for s in (config.fit, config.judge))
    right = [one.right for one in judged]
    figures: dict[str, Any] = {}
    chosen: Calibration | None = None
    for signal in SIGNALS:
        raw = [getattr(one.pointed, signal) for one in fit]
        calibration = Calibration.fitted(signal, raw, [one.right for one in fit], config.threshold)
        before = [getattr(one.pointed, signal) for one in judged]
        after = [calibration.probability(one.pointed) for one in judged]
        figures[signal] = {"uncalibrated": measured(before, right), "calibrated": measured(after, right)}
        figures[signal]["shown"] = shown(after, right, config.threshold)
        chosen = calibration if signal == config.signal else chosen
    assert chosen
    tree = {
        "checkpoint": checkpoint.digest,
        "data": _digest(config.data),
        "config": config.model_dump(mode="json", exclude={"threads", "out"}),
        "boxes": {"fit": len(fit), "judged": len(judged), "right": sum(right)},
        "signals": figures,
    }
    write_text(config.out / "calibration.json", json.dumps(chosen.to_json(), indent=1) + "\n")
    write_text(config.out / "metrics.json", json.dumps(tree, indent=1) + "\n")
    draw(config.out / "reliability.png", chosen, judged)
    return tree


def judge(checkpoint: Checkpoint, exam: Exam, config: ConfidenceConfig) -> list[Judged]:
    """Every box of the greedy answers that the rationale has a counterpart to."""
    asked = list(zip(exam.prepared, exam.questions, strict=True))[: config.questions]
    greedy = roll_out(checkpoint, asked, Sampling())
    again = [pair for pair in asked for _ in range(config.samples)]
    drawn = roll_out(checkpoint, again, Sampling(temperature=config.temperature, seed=config.seed)) if again else []
    found = []
    for i, rollout in enumerate(greedy):
        samples = drawn[i * config.samples : (i + 1) * config.samples]
        found += list(_judged(rollout, samples, checkpoint, config.right_iou))
    return found


def _judged(rollout: Rollout, samples: Sequence[Rollout], checkpoint: Checkpoint, right_iou: float) -> list[Judged]:
    """The i-th box against the i-th of the rationale, as in `metrics`; boxes drawn in vain keep their place."""
    targets = [rollout.prepared.frame.to_model(r.box) for r in rollout.question.rationale if r.box]
    drawn = [step.box for step in rollout.steps if step.box or step.flaw]
    sure = iter(pointed(rollout, samples, checkpoint.vocabulary))
    known = [(box, next(sure) if box else None) for box in drawn]
    return [Judged(p, iou(t, b) >= right_iou) for t, (b, p) in zip(targets, known, strict=False) if b and p]


def measured(chances: Sequence[float], right: Sequence[bool]) -> dict[str, Any]:
    """Brier score, expected calibration error in `BINS` equal bins, the chance that a right box outranks a wrong."""
    p, y = np.asarray(chances, float), np.asarray(right, float)
    if not len(p):
        return {"brier": None, "ece": None, "auroc": None, "n": 0}
    ece = sum(n / len(p) * abs(said - was) for said, was, n in reliability(p, y))
    good, bad = p[y == 1], p[y == 0]
    wins = (good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2 if len(good) and len(bad) else None
    auroc = None if wins is None else round(float(wins), 4)
    return {"brier": round(float(((p - y) ** 2).mean()), 4), "ece": round(float(ece), 4), "auroc": auroc, "n": len(p)}


def reliability(p: np.ndarray, y: np.ndarray) -> list[tuple[float, float, int]]:
    """(mean probability, share that was right, boxes) of each bin that holds any."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return [(float(p[bins == b].mean()), float(y[bins == b].mean()), int((bins == b).sum())) for b in np.unique(bins)]


def shown(chances: Sequence[float], right: Sequence[bool], threshold: float) -> dict[str, Any]:
    """What abstaining does: the share of boxes shown, and of those how many are right, against all."""
    p, y = np.asarray(chances, float), np.asarray(right, float)
    kept = p >= threshold
    share = round(float(kept.mean()), 4) if len(p) else None
    of = {
        name: round(float(y[mask].mean()), 4) if mask.any() else None
        for name, mask in (("right", kept), ("right_of_all", p >= 0))
    }
    return {"threshold": threshold, "coverage": share, **of}


def draw(file: Path, calibration: Calibration, judged: Sequence[Judged]) -> None:
    """The reliability diagram of the judged split, before and after."""
    from matplotlib.figure import Figure

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


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(command("confidence", ConfidenceConfig, run))
