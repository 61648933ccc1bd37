"""An answer in hand, with what it takes to show it: lines, a page, a picture, JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.serving.page import write_page
from components.serving.story import DISCLAIMER, choices_of
from model.imaging.prepare import Prepared
from model.interface import grammar
from model.interface.contract import Contract
from model.interface.question import Question
from model.interface.trace import Trace
from model.interface.writing import replacing


@dataclass(frozen=True, eq=False)
class Asked:
    question: Question
    trace: Trace
    prepared: Prepared
    contract: Contract

    def write_page(self, out: Path) -> Path:
        return write_page(self.trace, self.prepared, self.question, out, self.contract)

    def write_picture(self, out: Path) -> Path:
        from components.serving.picture import picture

        with replacing(out) as part:
            picture(self.trace, self.prepared, self.question, self.contract).save(part, format="PNG", optimize=True)
        return out

    def to_json(self) -> dict[str, Any]:
        return {"question": self.question.to_json(), "trace": self.trace.to_json()}

    def lines(self) -> list[str]:
        """The answer, then the evidence it points at."""
        boxes = [step for step in self.trace.steps if step.box]
        flaws = [f"flaw: {flaw.reason}" for flaw in self.trace.answer.flaws]
        return [self._answer(), *map(self._evidence, boxes), *flaws, DISCLAIMER]

    def _answer(self) -> str:
        """What was said; of a letter alone, its option's line."""
        said = self.trace.answer
        alone = said.text.strip("().: ") == said.choice
        lines = [f"{c.letter}. {c.text}" for c in choices_of(self.trace, self.prepared, self.question) if c.chosen]
        return lines[0] if alone and lines else said.text or "no answer"

    def _evidence(self, step: Any) -> str:
        place = grammar.numbers(step.box, flat=self.question.dimension == 2)
        mm = f", mm [{', '.join(f'{n:.0f}' for n in step.box_mm)}]" if step.box_mm else ""
        return f"evidence: {place}{mm}"
