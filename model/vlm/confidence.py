"""How sure an answer is of where it points: two signals, before any calibration.

    likelihood   the geometric mean probability of the tokens between a box's tags
    agreement    how well the box is met by the nearest box of each further sample of the same question

Neither is a probability of being right: that is `calibration`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from model.interface.boxes import Box, iou
from model.vlm.rollout import Rollout
from model.vlm.tokens import Vocabulary


@dataclass(frozen=True, slots=True)
class Pointed:
    box: Box
    """Model space."""
    likelihood: float
    """In (0, 1], at the temperature the answer was sampled at."""
    agreement: float
    """Mean IoU over the samples, in [0, 1]; a sample that points nowhere counts 0; 1 without samples."""
    step: int = 0
    """Which of the answer's steps pointed there."""

    @property
    def raw(self) -> float:
        """Both signals in one number, in [0, 1]: their geometric mean."""
        return (self.likelihood * self.agreement) ** 0.5


def pointed(answer: Rollout, samples: Sequence[Rollout], vocabulary: Vocabulary) -> list[Pointed]:
    """The usable boxes of an answer, in order. samples: further answers to the same question."""
    others = [[step.box for step in sample.steps if step.box] for sample in samples]
    found = []
    told = zip(answer.steps, box_logprobs(answer, vocabulary), strict=False)  # the last step has no box
    for i, (step, logprobs) in enumerate(told):
        if step.box and logprobs:
            met = [max((iou(step.box, box) for box in boxes), default=0.0) for boxes in others]
            agreement = sum(met) / len(met) if met else 1.0
            found.append(Pointed(step.box, exp(sum(logprobs) / len(logprobs)), agreement, i))
    return found


def box_logprobs(rollout: Rollout, vocabulary: Vocabulary) -> list[list[float]]:
    """Of each step that a closing tag ended: natural logs of what stands between its tags, [] without an opening."""
    said = [i for i in range(rollout.asked, len(rollout.branch)) if rollout.branch.trained[i]]
    found: list[list[float]] = []
    inside: list[float] | None = None
    for i, logprob in zip(said, rollout.logprobs, strict=True):
        token = rollout.branch.ids[i]
        if token == vocabulary.box_open:
            inside = []
        elif token == vocabulary.box_close:
            found.append(inside or [])
            inside = None
        elif inside is not None:
            inside.append(logprob)
    return found
