"""Traces written by hand: what a model would have said about the phantom."""

from dataclasses import replace

from model.imaging.crop import crop
from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.question import Question
from model.interface.trace import Step, Trace
from tests.model.imaging.phantom import BLOB, CONTRACT, head, slice_of


def question(dimension: int = 3, **changes: object) -> Question:
    asked = Question(
        id="q1",
        study="study",
        subject="subject",
        split="test",
        dimension=dimension,
        family="lesion analysis",
        text="Is there a bright block?",
        options=("Yes", "No"),
        answer=0,
        contrast="T1",
        licence="CC0",
        provenance="phantom",
    )
    return replace(asked, **changes)


def study(volume: Volume | None = None) -> Prepared:
    return prepare(volume or head(), CONTRACT)


def image() -> Prepared:
    return study(slice_of(head(), "axial", 12))


def blob(prepared: Prepared) -> Box:
    """Where the bright block is, model space."""
    flat = Box((*BLOB.low[:2], 0), (*BLOB.high[:2], 1))
    return prepared.frame.to_model(flat if prepared.dimension == 2 else BLOB)


def trace(prepared: Prepared, *looks: tuple[str, Box], answer: str = "A. Yes", asked: Question | None = None) -> Trace:
    """A trace that looks at boxes one after the other, then answers; unusable boxes become flaws."""
    steps = []
    for i, (words, box) in enumerate(looks):
        text = ("" if i else "<think>") + words + grammar.write_box(box, flat=prepared.dimension == 2)
        flaw = grammar.why_not_usable(box, prepared.frame.shape)
        if flaw:
            steps.append(Step(text, flaw=flaw))
        else:
            shown = len(crop(prepared, box, CONTRACT))
            steps.append(Step(text, box, prepared.frame.to_mm(box), shown))
    steps.append(Step(f"{'' if looks else '<think>'}.</think>{answer}<|im_end|>"))
    read = grammar.parse("".join(step.text for step in steps))
    return Trace(
        question_id=(asked or question()).id,
        study_digest=prepared.volume.digest,
        shape=prepared.frame.shape,
        steps=tuple(steps),
        answer=replace(read, flaws=read.flaws + tuple(step.flaw for step in steps if step.flaw)),
        sampled=40,
        versions={"checkpoint": "c" * 64, "contract": CONTRACT.digest()},
    )
