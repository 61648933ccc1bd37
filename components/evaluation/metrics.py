"""What is measured: pure functions from a question, the frame and the trace of an answer.

Every metric is a (sum, count) a question: accuracy counts questions, box metrics count boxes, and a
mean over any slice is sum / count. Boxes are compared in model space, where the model drew them,
the i-th box of the rationale with the i-th the model pointed at; a box not drawn, or flawed, has IoU 0.
"""

from dataclasses import dataclass
from math import dist

from model.imaging.frame import Frame
from model.interface.boxes import Box, iou, z_overlap
from model.interface.question import Question
from model.interface.trace import Trace

LOCALISING = ("structure localisation", "spatial localisation")
"""Families whose boxes are the task itself."""

METRICS = (
    "accuracy",
    "answered",
    "valid_format",
    "tool_rate",
    "crops",
    "boxes",
    "box_iou",
    "localisation_iou",
    "lesion_iou",
    "z_overlap",
    "centre_error_mm",
)

Count = tuple[float, float]
"""(sum, count); (0, 0) where the metric says nothing about this question."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One question, what slices it belongs to, and its share of every metric."""

    question: str
    group: str
    """The head its study was cut from."""
    dimension: int
    family: str
    contrast: str
    kind: str
    """"lesion", "propagated" or "own": the least certain label its rationale points at; "none" without one."""
    counts: dict[str, Count]


def score(question: Question, frame: Frame, trace: Trace, group: str) -> Scored:
    return Scored(
        question=question.id,
        group=group,
        dimension=question.dimension,
        family=question.family,
        contrast=question.contrast,
        kind=kind_of(question),
        counts={"accuracy": accuracy(question, trace.answer.choice)}
        | _conduct(trace)
        | _grounding(question, frame, trace),
    )


def kind_of(question: Question) -> str:
    kinds = {remark.kind for remark in question.rationale if remark.box}
    return next((kind for kind in ("lesion", "propagated", "own") if kind in kinds), "none")


def accuracy(question: Question, letter: str | None) -> Count:
    """Right letter; a question without a known truth isn't counted."""
    return (0, 0) if question.letter is None else (float(letter == question.letter), 1)


def _conduct(trace: Trace) -> dict[str, Count]:
    """How the answer was given, whatever was asked."""
    crops = sum(step.crops for step in trace.steps)
    return {
        "answered": (float(trace.answer.choice is not None), 1),
        "valid_format": (float(trace.valid_format), 1),
        "tool_rate": (float(crops > 0), 1),
        "crops": (float(crops), 1),
        "boxes": (float(len(trace.answer.evidence)), 1),
    }


def _grounding(question: Question, frame: Frame, trace: Trace) -> dict[str, Count]:
    """How well the boxes sit on what the rationale points at."""
    targets = [(remark, frame.to_model(remark.box)) for remark in question.rationale if remark.box]
    drawn = [step.box for step in trace.steps if step.box or step.flaw][: len(targets)]
    drawn += [None] * (len(targets) - len(drawn))
    pairs = [(remark, target, box) for (remark, target), box in zip(targets, drawn, strict=True)]
    overlaps = [(remark, iou(target, box) if box else 0.0) for remark, target, box in pairs]
    errors = [error for _, target, box in pairs if box and (error := centre_error_mm(frame, target, box)) is not None]
    ranges = [z_overlap(target, box) if box else 0.0 for _, target, box in pairs if question.dimension == 3]
    task = question.family in LOCALISING
    return {
        "box_iou": _sum([overlap for _, overlap in overlaps]),
        "localisation_iou": _sum([overlap for _, overlap in overlaps if task]),
        "lesion_iou": _sum([overlap for remark, overlap in overlaps if remark.kind == "lesion"]),
        "z_overlap": _sum(ranges),
        "centre_error_mm": _sum(errors),
    }


def centre_error_mm(frame: Frame, target: Box, box: Box) -> float | None:
    """Distance between the middles of two model-space boxes, mm; None where the frame has no mm.

    A box that wasn't drawn has no middle: read it beside `box_iou`, which counts that box as 0.
    """
    a, b = frame.to_mm(target), frame.to_mm(box)
    if a is None or b is None:
        return None
    return dist(*([(c[i] + c[i + 3]) / 2 for i in range(3)] for c in (a, b)))


def _sum(values: list[float]) -> Count:
    return sum(values), len(values)
