"""A benchmark's result: typed, versioned, and comparable only with one of the same questions scored the same way."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.data.vqa.item import Item
from model.interface.errors import BadInput
from model.interface.writing import write_text


class Score(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    """None where nothing was counted."""
    low: float | None
    """95 % interval, by bootstrap over subjects; None of too few of them."""
    high: float | None
    n: int
    """Questions."""


class Answerer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["checkpoint", "endpoint"]
    name: str
    """The model's; no machine and no path."""
    digest: str = ""
    """Of a checkpoint's manifest."""


class Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    set: str
    split: str
    licence: str
    protocol: int
    """Version of the set's protocol."""
    source: str
    """Whose protocol it is."""
    questions: str
    """SHA-256 over what was asked, in order: ids, texts, options, truths."""
    asked: int
    left_out: dict[str, int] = Field(default_factory=dict)
    """Questions that weren't asked, by reason."""
    unanswered: int
    """Asked, and no answer came that could be read; they count as wrong."""
    answerer: Answerer
    headline: str
    """Which of the scores the set is known by."""
    scores: dict[str, Score]
    parts: dict[str, dict[str, dict[str, Score]]]
    """Kind of part -> part -> score."""

    def write(self, folder: Path) -> Path:
        file = folder / "result.json"
        write_text(file, self.model_dump_json(indent=1) + "\n")
        return file

    @classmethod
    def read(cls, file: Path) -> "Result":
        """Raises BadInput where there is no such file, or it holds something else."""
        try:
            return cls.model_validate_json(file.read_bytes())
        except OSError as error:
            found = error.strerror or "nothing"
        except ValidationError as error:
            first = error.errors()[0]
            found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
        where = f"{file}: found {found}, wanted a result.json of this benchmark"
        raise BadInput("not a result to set beside", where=where, next="name a result.json that it wrote")


def questions_digest(items: Sequence[Item]) -> str:
    told = [[item.id, item.text, item.options, item.answer_text] for item in items]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def beside(results: Sequence[Result]) -> str:
    """Markdown, a row a score, a column an answerer. Raises BadInput where they can't be compared."""
    first = results[0]
    for other in results[1:]:
        comparable(first, other)
    rows = [["", *(result.answerer.name for result in results)]]
    for name in first.scores:
        cells = [result.scores[name] for result in results]
        rows.append([name.replace("_", " "), *(_cell(score) for score in cells)])
    rows.append(["asked, unanswered", *(f"{result.asked}, {result.unanswered}" for result in results)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(map(str.ljust, row, widths))} |\n" for row in rows)


def _cell(score: Score) -> str:
    if score.value is None:
        return "–"
    ends = "" if score.low is None else f" [{score.low:.3f}, {score.high:.3f}]"
    return f"{score.value:.3f}{ends}, n {score.n}"


def comparable(ours: Result, theirs: Result) -> None:
    """Raises BadInput, which names what differs, where two results say nothing about one another."""
    for field in ("set", "split", "protocol", "questions"):
        a, b = getattr(ours, field), getattr(theirs, field)
        if a != b:
            where = f"{field}: found {str(a)[:16]} and {str(b)[:16]}, wanted one of them"
            raise BadInput("these results can't be compared", where=where, next="score both on the same questions")
