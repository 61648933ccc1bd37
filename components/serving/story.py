"""A trace as a reader follows it: steps with what they point at, the answer, the fine print.

Made from a trace and its study; what page and picture show is decided here, once. Crops are remade from
the study, because a trace holds no pixels.
"""

from dataclasses import dataclass, replace
from string import ascii_uppercase

import numpy as np

from model.imaging.crop import crop, slices_of
from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.grammar import BOX, THINK_CLOSE, THINK_OPEN, TURN_END, numbers
from model.interface.prompt import question_text
from model.interface.question import Question
from model.interface.trace import Flaw, Step, Trace

DISCLAIMER = "Research use only. Not a medical device; not for diagnosis."
COLOURS = 6
"""Boxes take turns in this many colours."""


@dataclass(frozen=True, eq=False)
class Look:
    """A box, and what the model was shown when it pointed there."""

    number: int
    """Counts from 1, in the order they were pointed at."""
    box: Box
    """Model space, exactly as the model said it."""
    numbers: str
    """As the model wrote it: [x1,y1,x2,y2] or [x1,y1,z1,x2,y2,z2]."""
    mm: str
    """Where that is in the patient, or why nobody knows."""
    crops: tuple[np.ndarray, ...]
    """uint8 [h, w] each, as the model saw them."""
    slices: tuple[int, ...]
    """The slice each crop was taken from."""

    @property
    def colour(self) -> int:
        """1 to COLOURS."""
        return (self.number - 1) % COLOURS + 1


@dataclass(frozen=True, eq=False)
class Card:
    title: str
    text: str
    look: Look | None = None
    flaw: str = ""


@dataclass(frozen=True)
class Choice:
    letter: str
    text: str
    chosen: bool
    reference: bool


@dataclass(frozen=True, eq=False)
class Story:
    question: str
    cards: tuple[Card, ...]
    choices: tuple[Choice, ...]
    answer: str
    """What stands after the thought, as it was written."""
    correct: bool | None
    """None where the truth is not known."""
    facts: tuple[str, ...]
    """What the study is, a few words each."""
    flaws: tuple[str, ...]
    """What is wrong with the text beyond the flaws told on cards, and words that name the other side of the body."""
    warnings: tuple[str, ...]
    """What the reader had to assume about the file."""
    provenance: tuple[str, ...]
    verbatim: str
    """All sampled text, tags and all."""

    @property
    def looks(self) -> tuple[Look, ...]:
        return tuple(card.look for card in self.cards if card.look)

    @property
    def verdict(self) -> str:
        """ "correct", "wrong", or "" where the truth is not known."""
        return {True: "correct", False: "wrong", None: ""}[self.correct]


def tell(trace: Trace, prepared: Prepared, question: Question, contract: Contract) -> Story:
    """Put a trace and the study it is about side by side; raises ValueError when they don't belong together."""
    if trace.study_digest != prepared.volume.digest or trace.shape != prepared.frame.shape:
        raise ValueError(f"trace of study {trace.study_digest[:12]} {trace.shape} shown on another study")
    cards = _cards(trace, prepared, contract)
    told = {card.flaw for card in cards}
    return Story(
        question=_worded(question.text, prepared, question),
        cards=cards,
        choices=choices_of(trace, prepared, question),
        answer=trace.answer.text,
        correct=None if question.letter is None else trace.answer.choice == question.letter,
        facts=_facts(prepared, question),
        flaws=tuple(text for text in map(_complaint, trace.answer.flaws) if text not in told) + wrong_sides(trace),
        warnings=prepared.volume.warnings,
        provenance=_provenance(trace, question),
        verbatim=trace.text,
    )


def choices_of(trace: Trace, prepared: Prepared, question: Question) -> tuple[Choice, ...]:
    """The options as the model was shown them, in order."""
    return tuple(
        Choice(letter, _worded(option, prepared, question), letter == trace.answer.choice, letter == question.letter)
        for letter, option in zip(ascii_uppercase, question.options, strict=False)
    )


def _worded(text: str, prepared: Prepared, question: Question) -> str:
    """Text of a question with its regions in the numbers of model space."""
    places = tuple(prepared.frame.to_model(region) for region in question.regions)
    return question_text(replace(question, text=text, options=(), answer=None), places)


def _cards(trace: Trace, prepared: Prepared, contract: Contract) -> tuple[Card, ...]:
    cards: list[Card] = []
    looked = 0
    for step in trace.steps:
        text = words_of(step.text)
        if step.box:
            looked += 1
            cards.append(Card(f"{len(cards) + 1} · Look", text, _look(looked, step, step.box, prepared, contract)))
        elif step.flaw:
            cards.append(Card(f"{len(cards) + 1} · Flawed box", text, flaw=_complaint(step.flaw)))
        elif text:
            cards.append(Card(f"{len(cards) + 1} · Think", text))
    return tuple(cards)


def wrong_sides(trace: Trace) -> tuple[str, ...]:
    """The laterality check, where words and box disagree."""
    wrong = [side for side in trace.sides if not side.agrees]
    return tuple(f"step {side.step + 1} says {side.said}, but its box lies {side.found}" for side in wrong)


def _complaint(flaw: Flaw) -> str:
    return f"{flaw.reason}: {flaw.text}"


def words_of(text: str) -> str:
    """A step's text without tags and without the answer, which has a place of its own."""
    thought = text.split(THINK_CLOSE)[0] if THINK_CLOSE in text else text
    return BOX.sub("", thought.replace(THINK_OPEN, "").replace(TURN_END, "")).strip(" .,;\n")


def _look(number: int, step: Step, box: Box, prepared: Prepared, contract: Contract) -> Look:
    flat = prepared.dimension == 2
    return Look(
        number=number,
        box=box,
        numbers=numbers(box, flat=flat),
        mm=_millimetres(step.box_mm, prepared),
        crops=tuple(crop(prepared, box, contract)),
        slices=tuple(slices_of(box, prepared.frame.shape[2], contract)),
    )


def _millimetres(mm: tuple[float, ...] | None, prepared: Prepared) -> str:
    if mm is None:
        return "no mm: " + ("the frame is unknown" if not prepared.volume.frame_known else "the spacing is unknown")
    size = " × ".join(_tenths(high - low) for low, high in zip(mm[:3], mm[3:], strict=True))
    ranges = ", ".join(
        f"{axis} {_tenths(low)} to {_tenths(high)}" for axis, low, high in zip("xyz", mm[:3], mm[3:], strict=True)
    )
    return f"{size} mm at {ranges} mm (RAS+)"


def _tenths(mm: float) -> str:
    return f"{round(mm, 1) + 0:g}"


def _facts(prepared: Prepared, question: Question) -> tuple[str, ...]:
    width, height, depth = prepared.frame.shape
    seen = f"{depth} slices of {width} × {height}" if prepared.dimension == 3 else f"{width} × {height} px"
    kind = question.contrast or prepared.volume.modality or "modality unknown"
    sides = prepared.frame.plane if prepared.volume.frame_known else "left and right unknown"
    return (f"{prepared.dimension}D", kind, sides, seen, *([question.family] if question.family else []))


def _provenance(trace: Trace, question: Question) -> tuple[str, ...]:
    versions = [f"{name} {version[:12]}" for name, version in sorted(trace.versions.items())]
    source = [text for text in (question.provenance, question.licence) if text]
    return (
        f"question {question.id}",
        f"study sha256 {trace.study_digest[:12]}",
        *versions,
        f"{trace.sampled} tokens sampled",
        f"mean log-probability {trace.mean_logprob:.2f}",
        f"{trace.seconds:.2f} s",
        *source,
    )
