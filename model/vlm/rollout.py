"""One answer in the making, and the trace that is read off it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

from model.imaging.prepare import Prepared
from model.imaging.sides import side_of
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.laterality import side_said
from model.interface.prompt import filled_options
from model.interface.question import Question
from model.interface.trace import Answer, Flaw, Side, Step, Trace
from model.vlm.checkpoint import Checkpoint
from model.vlm.sharing import Layers
from model.vlm.tokens import Strip


@dataclass(slots=True)
class Rollout:
    """One answer: its branch of tokens, and what it saw."""

    prepared: Prepared
    question: Question
    shared: Strip
    branch: Strip
    asked: int
    """Length of the branch before the assistant spoke this turn; earlier turns are part of it."""
    pictures: list[Tensor]
    """Visual tokens of the study's own pictures."""
    random: np.random.Generator
    row: int = 0
    """Which of the answers made together."""
    features: list[Tensor] = field(default_factory=list)
    """Visual tokens of the crops, in order, of earlier turns too."""
    logprobs: list[float] = field(default_factory=list)
    """Natural log, at the sampling temperature, of each token sampled this turn."""
    steps: list[Step] = field(default_factory=list)
    open_step: list[int] = field(default_factory=list)
    """Sampled ids since the last box."""
    crops: int = 0
    """Pictures its boxes brought in this turn."""
    done: bool = False
    truncated: bool = False
    """Ended by the budget or by being cancelled, not by the model."""
    seconds: float = 0.0
    kept: Layers = field(default_factory=list)
    """Keys and values of the branch, where a follow-up may come."""
    fed: int = 0
    """Tokens of the branch that `kept` covers."""

    @property
    def rounds(self) -> int:
        return len(self.steps)

    def end(self, text: str = "", *, truncated: bool) -> None:
        if not self.done:
            self.steps.append(Step(text))
            self.done, self.truncated = True, truncated


@dataclass(frozen=True, slots=True)
class Event:
    """Something that just happened to one answer."""

    answer: int
    """Which of those asked for."""
    kind: Literal["text", "box", "flaw", "crop", "answer"]
    text: str = ""
    """Of "text": what was said since the last event, special tokens kept. Of "flaw": the reason."""
    box: Box | None = None
    """Of "box" and "crop", model space."""
    picture: np.ndarray | None = None
    """Of "crop": uint8[h, w] or [h, w, 3]; one event a picture."""
    rollout: Rollout | None = None
    """Of "answer"."""


def trace_of(rollout: Rollout, checkpoint: Checkpoint) -> Trace:
    """What was said, read once; flaws met while injecting, or against the options, join those of the grammar."""
    read = grammar.parse("".join(step.text for step in rollout.steps))
    known = set(read.flaws)
    met = tuple(step.flaw for step in rollout.steps if step.flaw and step.flaw not in known)
    places = tuple(rollout.prepared.frame.to_model(region) for region in rollout.question.regions)
    if contradiction := grammar.why_contradictory(read, filled_options(rollout.question, places)):
        met += (contradiction,)
    return Trace(
        question_id=rollout.question.id,
        study_digest=rollout.prepared.volume.digest,
        shape=rollout.prepared.frame.shape,
        steps=tuple(rollout.steps),
        answer=Answer(read.choice, read.text, read.evidence, read.flaws + met),
        sampled=len(rollout.logprobs),
        truncated=rollout.truncated,
        mean_logprob=sum(rollout.logprobs) / max(1, len(rollout.logprobs)),
        seconds=rollout.seconds,
        versions={"checkpoint": checkpoint.digest, "contract": checkpoint.contract.digest()},
        sides=tuple(_sides(rollout)),
    )


def _sides(rollout: Rollout) -> Iterator[Side]:
    for i, step in enumerate(rollout.steps):
        if step.box and (said := side_said(step.text)) and (found := side_of(step.box, rollout.prepared)):
            yield Side(i, said, found)


def why_not_shown(text: str, rounds: int, shape: tuple[int, int, int], max_boxes: int) -> Box | Flaw:
    """The box that ends a step, or why it brings nothing. rounds: steps closed before this one."""
    box = grammar.last_box(text)
    if not isinstance(box, Box):
        return box or Flaw(text[-80:], "unpaired")
    if rounds >= max_boxes:
        return Flaw(text[-80:], f"more than {max_boxes} boxes")
    return grammar.why_other_kind(text, shape) or grammar.why_not_usable(box, shape) or box
