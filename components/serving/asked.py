"""An answer in hand, with what it takes to show it: lines, a page, a picture, JSON."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.serving.evidence import kind_of, write_evidence
from components.serving.grounding import Grounding
from components.serving.page import write_page
from components.serving.story import DISCLAIMER, choices_of, wrong_sides
from model.imaging.prepare import Prepared
from model.imaging.reading.declared import Declared
from model.interface import grammar
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question
from model.interface.trace import Step, Trace
from model.interface.writing import replacing


@dataclass(frozen=True, eq=False)
class Asked:
    question: Question
    trace: Trace
    prepared: Prepared
    contract: Contract
    source: Path | None = None
    """The file it was asked about; None of a study of the data set."""
    declared: Declared = field(default_factory=Declared)
    grounding: Grounding | None = None
    """None where nobody asked how sure it is."""

    def write_page(self, out: Path) -> Path:
        return write_page(self.trace, self.prepared, self.question, out, self.contract)

    def write_picture(self, out: Path) -> Path:
        from components.serving.picture import picture

        with replacing(out) as part:
            picture(self.trace, self.prepared, self.question, self.contract).save(part, format="PNG", optimize=True)
        return out

    def write_evidence(self, out: Path) -> Path:
        """Write the boxes as the end of `out`'s name says; raises BadInput."""
        if not kind_of(out).endswith(".dcm"):
            return write_evidence(self.trace, self.prepared, out)
        if self.source is None:
            raise BadInput(
                "DICOM is written beside DICOM only",
                where=f"{out.name}: found a study of the data set, wanted a DICOM file",
                next="write .json, .nii.gz or .mrk.json",
            )
        from components.serving.dicom_out import write_dicom

        return write_dicom(self.trace, self.prepared, self.source, self.declared, out)

    def to_json(self) -> dict[str, Any]:
        sure = self.grounding and self.grounding.to_json()
        return {"question": self.question.to_json(), "trace": self.trace.to_json(), "grounding": sure}

    def lines(self) -> list[str]:
        """The answer, then the evidence it points at and how sure it is of the place."""
        evidence = [self._evidence(i, step) for i, step in enumerate(self.trace.steps) if step.box]
        flaws = [f"flaw: {flaw.reason}" for flaw in self.trace.answer.flaws]
        sides = [f"side: {text}" for text in wrong_sides(self.trace)]
        return [self._answer(), *evidence, *self._sure(), *flaws, *sides, DISCLAIMER]

    def _answer(self) -> str:
        """What was said; of a letter alone, its option's line."""
        said = self.trace.answer
        alone = not grammar.beside_choice(said)
        lines = [f"{c.letter}. {c.text}" for c in choices_of(self.trace, self.prepared, self.question) if c.chosen]
        return lines[0] if alone and lines else said.text or "no answer"

    def _evidence(self, i: int, step: Step) -> str:
        assert step.box
        sure = self.grounding.of_step(i) if self.grounding else None
        confidence = None if sure is None or sure.confidence is None else f"{sure.confidence:.2f}"
        if sure and sure.abstains and self.grounding:
            wanted = f"{self.grounding.threshold:.2f}"
            return f"evidence: not shown, it is too unsure of the place (confidence {confidence}, wanted {wanted})"
        place = grammar.numbers(step.box, flat=self.question.dimension == 2)
        mm = f", mm [{', '.join(f'{n:.0f}' for n in step.box_mm)}]" if step.box_mm else ""
        return f"evidence: {place}{mm}" + (f", confidence {confidence}" if confidence else "")

    def _sure(self) -> list[str]:
        """What the numbers mean, or why there are none."""
        if self.grounding is None:
            return []
        if self.grounding.why_not:
            return [f"confidence in places: unknown, {self.grounding.why_not}"]
        return ["confidence: the share of boxes like this that were right where the truth is known"] * bool(
            self.grounding.boxes
        )
