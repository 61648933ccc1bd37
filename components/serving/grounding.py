"""How sure an answer is of where it points: a probability for each box, or why there is none; unsure ones are withheld.

The answer itself is never withheld: what is calibrated is the place, see `model.vlm.calibration`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.imaging.prepare import Prepared
    from model.interface.question import Question
    from model.interface.trace import Trace
    from model.vlm.calibration import Calibration
    from model.vlm.checkpoint import Checkpoint
    from model.vlm.engine import Engine, Study

CALIBRATE = "`dvc repro confidence` calibrates the checkpoint trained last"


@dataclass(frozen=True, slots=True)
class Sure:
    """One box of an answer."""

    step: int
    """Of the trace, the one that pointed."""
    likelihood: float
    agreement: float | None
    """None where no further answers were drawn."""
    confidence: float | None
    """Probability that the box is right, in [0, 1]; None where nothing is calibrated."""
    abstains: bool
    """Less sure than what is worth showing."""


@dataclass(frozen=True, slots=True)
class Grounding:
    boxes: tuple[Sure, ...] = ()
    threshold: float | None = None
    """Confidence from which a box is shown."""
    why_not: str = ""
    """Why there is no confidence; "" where there is."""

    @property
    def confidence(self) -> float | None:
        """Of the answer: that of its least sure box, because it rests on all of them."""
        known = [box.confidence for box in self.boxes if box.confidence is not None]
        return min(known, default=None)

    @property
    def abstains(self) -> bool:
        """Some place is withheld."""
        return any(box.abstains for box in self.boxes)

    def of_step(self, step: int) -> Sure | None:
        return next((box for box in self.boxes if box.step == step), None)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"confidence": self.confidence, "abstains": self.abstains}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Grounding":
        return cls(tuple(Sure(**box) for box in row["boxes"]), row["threshold"], row["why_not"])


def read_calibration(file: Path | None) -> "Calibration | None":
    """Raises BadInput where the file is none."""
    from model.vlm.calibration import Calibration

    return Calibration.load(file) if file and file.exists() else None


def answers(
    engine: "Engine", prepared: "Prepared", asked: Sequence["Question"], calibration: "Calibration | None"
) -> list[tuple["Trace", Grounding]]:
    """Greedy answers about one study, in order; with a calibration, further ones are drawn to see whether they agree.

    Raises BadInput, see `Engine`.
    """
    from model.vlm.engine import Ask
    from model.vlm.rollout import trace_of
    from model.vlm.sampling import ASKED

    study = engine.open(prepared)
    greedy = engine.ask([Ask(study, question) for question in asked], ASKED)
    sure = [_grounding(engine, study, rollout, calibration) for rollout in greedy]
    return [(trace_of(rollout, engine.checkpoint), one) for rollout, one in zip(greedy, sure, strict=True)]


def _grounding(engine: "Engine", study: "Study", rollout: Any, calibration: "Calibration | None") -> Grounding:
    from model.vlm.confidence import pointed
    from model.vlm.engine import samples

    why_not = _why_not(calibration, engine.checkpoint)
    if calibration is None or why_not:
        boxes = pointed(rollout, [], engine.checkpoint.vocabulary)
        return Grounding(tuple(Sure(b.step, b.likelihood, None, None, False) for b in boxes), None, why_not)
    drawn = []
    if any(step.box for step in rollout.steps) and calibration.asked.samples:
        again = samples(study, rollout.question, calibration.asked.samples)
        drawn = engine.ask(again, calibration.asked.sampling)
    sure = tuple(
        Sure(
            box.step,
            box.likelihood,
            box.agreement if drawn else None,
            calibration.probability(box),
            calibration.abstains(box),
        )
        for box in pointed(rollout, drawn, engine.checkpoint.vocabulary)
    )
    return Grounding(sure, calibration.threshold)


def _why_not(calibration: "Calibration | None", checkpoint: "Checkpoint") -> str:
    if calibration is None:
        return f"not calibrated; {CALIBRATE}"
    if calibration.asked.checkpoint != checkpoint.digest:
        return f"calibrated for another checkpoint; {CALIBRATE}"
    if calibration.asked.contract != checkpoint.contract.digest():
        return "calibrated for studies that are shown as in training, not for --override"
    return "no box was there to calibrate on" if calibration.empty else ""
