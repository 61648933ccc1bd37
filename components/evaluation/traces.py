"""The answers an evaluation is made of, kept so that every number can be walked back to them."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from model.interface.trace import Trace
from model.interface.writing import replacing

FILE = "traces.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Answered:
    checkpoint: str
    split: str
    blank: bool
    """Asked about a blank picture."""
    correct: bool | None
    """None where the truth is not known."""
    trace: Trace


def write(file: Path, answers: Iterable[Answered]) -> None:
    """One JSON a line, without timings: the same answers are the same bytes."""
    with (
        replacing(file) as part,
        part.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as lines,
    ):
        for answer in answers:
            lines.write(json.dumps(_to_json(answer), ensure_ascii=False).encode() + b"\n")


def read(file: Path) -> Iterator[Answered]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield Answered(**row | {"trace": Trace.from_json(row["trace"])})


def examples(answers: Iterable[Answered], checkpoint: str, split: str = "test", each: int = 2) -> list[Answered]:
    """The first `each` right and wrong answers of either dimension: taken in order, so not chosen to please."""
    taken: dict[tuple[bool, bool], list[Answered]] = {}
    for answer in answers:
        if (answer.checkpoint, answer.split, answer.blank) == (checkpoint, split, False) and answer.correct is not None:
            taken.setdefault((answer.trace.shape[2] == 1, answer.correct), []).append(answer)
    return [answer for found in taken.values() for answer in found[:each]]


def _to_json(answer: Answered) -> dict:
    row = {name: getattr(answer, name) for name in ("checkpoint", "split", "blank", "correct")}
    return row | {"trace": replace(answer.trace, seconds=0.0).to_json()}
