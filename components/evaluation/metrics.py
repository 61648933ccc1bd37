"""What is measured: pure functions from a question, the frame and the trace of an answer.

Every metric is a (sum, count) a question: accuracy counts questions, box metrics count boxes, and a
mean over any slice is sum / count. Boxes are compared in model space, where the model drew them,
the i-th box of the rationale with the i-th the model pointed at; a box not drawn, or flawed, has IoU 0.
"""

from dataclasses import dataclass
from math import dist, prod

from components.evaluation.selective import brier, confidence
from model.imaging.frame import Frame
from model.interface.boxes import Box, iou, z_overlap
from model.interface.grammar import BOX
from model.interface.question import Question, Remark
from model.interface.trace import Answer, Trace
from model.learning.matching import exact, token_f1
from model.learning.rewards import whole

LOCALISING = ("structure localisation", "spatial localisation")
"""Families whose boxes are the task itself."""

METRICS = (
    "accuracy",
    "fine_accuracy",
    "sampled_accuracy",
    "open_exact",
    "open_f1",
    "answered",
    "accuracy_answered",
    "brier",
    "valid_format",
    "flaws",
    "tool_rate",
    "crops",
    "boxes",
    "length",
    "box_iou",
    "hit_25",
    "hit_50",
    "localisation_iou",
    "lesion_iou",
    "z_overlap",
    "centre_error_mm",
    "side_correct",
)
HITS = {"hit_25": 0.25, "hit_50": 0.5}
"""Share of boxes with at least this IoU."""
BESIDE_MIDDLE = 0.05
"""A target whose centre is nearer to the middle of the field of view, as a share of its width, is on neither side."""
SIZES_MM = (15.0, 30.0)
"""Lesions are small, middling or large by the geometric mean of their box's sides."""

Count = tuple[float, float]
"""(sum, count); (0, 0) where the metric says nothing about this question."""
NOTHING: Count = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Scored:
    """One question, what slices it belongs to, and its share of every metric."""

    question: str
    group: str
    """The head its study was cut from."""
    dimension: int
    slices: dict[str, str]
    """Kind of slice -> which: family, contrast, kind, modality, anatomy, lesion size, subject, training."""
    counts: dict[str, Count]
    confidence: float | None = None
    """See `selective`."""


def score(
    question: Question,
    frame: Frame,
    trace: Trace,
    group: str,
    *,
    modality: str = "",
    trained: bool | None = None,
    sampled: Trace | None = None,
) -> Scored:
    """trained: whether training asked such a question of such a picture; None where nobody knows.

    sampled: another answer, drawn at temperature 1, whose letter alone is looked at.
    """
    slices = {
        "family": question.family,
        "contrast": question.contrast,
        "kind": kind_of(question),
        "modality": modality or "unknown",
        "anatomy": anatomy_of(question),
        "lesion_size": lesion_size_of(question, frame),
        "subject": question.subject,
        "training": {True: "in", False: "out", None: "unknown"}[trained],
    }
    right = accuracy(question, trace.answer.choice)
    sure = confidence(trace)
    answered = trace.answer.choice is not None if question.options else bool(in_words(trace.answer))
    counts = {
        "accuracy": right,
        "fine_accuracy": right if question.fine else NOTHING,
        "sampled_accuracy": accuracy(question, sampled.answer.choice) if sampled else NOTHING,
        **_open(question, trace),
        "answered": (float(answered), 1),
        "accuracy_answered": right if answered else NOTHING,
        "brier": (brier(sure, right[0] == 1), 1) if right[1] and sure is not None else NOTHING,
        **_conduct(question, trace),
        **_grounding(question, frame, trace),
    }
    return Scored(question.id, group, question.dimension, slices, counts, sure)


def kind_of(question: Question) -> str:
    """ "lesion", "propagated" or "own": the least certain label its rationale points at; "none" without one."""
    kinds = {remark.kind for remark in question.rationale if remark.box}
    return next((kind for kind in ("lesion", "propagated", "own") if kind in kinds), "none")


def anatomy_of(question: Question) -> str:
    """What the rationale points at first, of either side; "none" where it points at nothing."""
    names = next((remark.names for remark in question.rationale if remark.box), "")
    return names.removeprefix("left ").removeprefix("right ") or "none"


def lesion_size_of(question: Question, frame: Frame) -> str:
    lesion = next((remark.box for remark in question.rationale if remark.box and remark.kind == "lesion"), None)
    if lesion is None:
        return "no lesion"
    mm = frame.to_mm(frame.to_model(lesion))
    if mm is None:
        return "unknown"
    sides = sorted(high - low for low, high in zip(mm[:3], mm[3:], strict=True))
    across = sides if question.dimension == 3 else sides[1:]  # a slice's own thickness is nobody's size
    side, (small, large) = prod(across) ** (1 / len(across)), SIZES_MM
    return f"under {small:g} mm" if side < small else f"{large:g} mm and more" if side >= large else "in between"


def accuracy(question: Question, letter: str | None) -> Count:
    """Right letter; a question without a known truth isn't counted."""
    return NOTHING if question.letter is None else (float(letter == question.letter), 1)


def _open(question: Question, trace: Trace) -> dict[str, Count]:
    """An answer in words. Replies that speak of regions are left out: their numbers are of another space."""
    if not question.reply or question.regions:
        return {"open_exact": NOTHING, "open_f1": NOTHING}
    said = in_words(trace.answer)
    return {"open_exact": (exact(said, question.reply), 1), "open_f1": (token_f1(said, question.reply), 1)}


def in_words(answer: Answer) -> str:
    """What an answer without options says besides its boxes. A capital that opens it is no letter: "E. coli"."""
    return BOX.sub("", answer.text).strip()


def _conduct(question: Question, trace: Trace) -> dict[str, Count]:
    """How the answer was given, whatever was asked."""
    crops = sum(step.crops for step in trace.steps)
    return {
        "valid_format": (whole(trace, question), 1),
        "flaws": (float(len(trace.answer.flaws)), 1),
        "tool_rate": (float(crops > 0), 1),
        "crops": (float(crops), 1),
        "boxes": (float(len(trace.answer.evidence)), 1),
        "length": (float(trace.sampled), 1),
    }


def _grounding(question: Question, frame: Frame, trace: Trace) -> dict[str, Count]:
    """How well the boxes sit on what the rationale points at."""
    pairs = paired(question, frame, trace)
    overlaps = [(remark, iou(target, box) if box else 0.0) for remark, target, box in pairs]
    errors = [error for _, target, box in pairs if box and (error := centre_error_mm(frame, target, box)) is not None]
    ranges = [z_overlap(target, box) if box else 0.0 for _, target, box in pairs if question.dimension == 3]
    sides = [_same_side(frame, target, box) for _, target, box in pairs]
    task = question.family in LOCALISING
    return {
        "box_iou": _sum([overlap for _, overlap in overlaps]),
        **{name: _sum([float(overlap >= least) for _, overlap in overlaps]) for name, least in HITS.items()},
        "localisation_iou": _sum([overlap for _, overlap in overlaps if task]),
        "lesion_iou": _sum([overlap for remark, overlap in overlaps if remark.kind == "lesion"]),
        "z_overlap": _sum(ranges),
        "centre_error_mm": _sum(errors),
        "side_correct": _sum([side for side in sides if side is not None]),
    }


def paired(question: Question, frame: Frame, trace: Trace) -> list[tuple[Remark, Box, Box | None]]:
    """(what the rationale points at, where that is, where the model pointed in its place), boxes in model space."""
    targets = [(remark, frame.to_model(remark.box)) for remark in question.rationale if remark.box]
    drawn = [step.box for step in trace.steps if step.box or step.flaw][: len(targets)]
    drawn += [None] * (len(targets) - len(drawn))
    return [(remark, target, box) for (remark, target), box in zip(targets, drawn, strict=True)]


def centre_error_mm(frame: Frame, target: Box, box: Box) -> float | None:
    """Distance between the middles of two model-space boxes, mm; None where the frame has no mm.

    A box that wasn't drawn has no middle: read it beside `box_iou`, which counts that box as 0.
    """
    a, b = frame.to_mm(target), frame.to_mm(box)
    if a is None or b is None:
        return None
    return dist(*([(c[i] + c[i + 3]) / 2 for i in range(3)] for c in (a, b)))


def off_middle(frame: Frame, box: Box) -> float | None:
    """How far a box's centre lies right (+) or left (-) of the middle of the field of view, as a share of its width.

    None where sides are not shown or not known. The body's own middle (`model.imaging.sides`) needs pixels, which no
    trace has. box: model space.
    """
    if frame.affine is None or frame.plane not in ("axial", "coronal"):
        return None
    return frame.to_source(box).centre[0] / frame.source[0] - 0.5


def _same_side(frame: Frame, target: Box, box: Box | None) -> float | None:
    """Whether a box lies on its target's side, 0 where none was drawn; None of a target that has no side."""
    wanted = off_middle(frame, target)
    if wanted is None or abs(wanted) <= BESIDE_MIDDLE:
        return None
    return float(box is not None and wanted * (off_middle(frame, box) or 0) > 0)


def _sum(values: list[float]) -> Count:
    return sum(values), len(values)
