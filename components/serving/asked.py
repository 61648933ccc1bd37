"""An answer in hand, with what it takes to show it: lines, a page, a picture, JSON."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.serving.evidence import kind_of, write_evidence
from components.serving.page import write_page
from components.serving.story import DISCLAIMER, choices_of, wrong_sides
from model.imaging.prepare import Prepared
from model.imaging.reading.declared import Declared
from model.interface import grammar
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question
from model.interface.trace import Trace
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
        return {"question": self.question.to_json(), "trace": self.trace.to_json()}

    def lines(self) -> list[str]:
        """The answer, then the evidence it points at."""
        boxes = [step for step in self.trace.steps if step.box]
        flaws = [f"flaw: {flaw.reason}" for flaw in self.trace.answer.flaws]
        sides = [f"side: {text}" for text in wrong_sides(self.trace)]
        return [self._answer(), *map(self._evidence, boxes), *flaws, *sides, DISCLAIMER]

    def _answer(self) -> str:
        """What was said; of a letter alone, its option's line."""
        said = self.trace.answer
        alone = not grammar.beside_choice(said)
        lines = [f"{c.letter}. {c.text}" for c in choices_of(self.trace, self.prepared, self.question) if c.chosen]
        return lines[0] if alone and lines else said.text or "no answer"

    def _evidence(self, step: Any) -> str:
        place = grammar.numbers(step.box, flat=self.question.dimension == 2)
        mm = f", mm [{', '.join(f'{n:.0f}' for n in step.box_mm)}]" if step.box_mm else ""
        return f"evidence: {place}{mm}"
