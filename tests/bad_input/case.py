"""One malformed input: how it is made, what opens it, and what must be told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.bad_input.openers import STUDY, Opener

Verdict = Literal["refused", "read with a warning", "read"]
REFUSED, WARNED, READ = "refused", "read with a warning", "read"
"""A model's answer is never refused: what is wrong with it is a `Flaw`, which counts as a warning here."""

Content = bytes | Callable[[], bytes]
"""Of a file; large ones are made when they are needed."""
Row = tuple[str, str, str, Content, Sequence[str]]
"""(name, what is wrong, file name, content, words that must be told)."""


@dataclass(frozen=True)
class Case:
    name: str
    """Kind and fault: "dicom: cut in the pixels"."""
    wrong: str
    """What is wrong, for a reader of the table."""
    build: Callable[[Path], Path]
    """Make the input in an empty folder; returns the path to open."""
    words: Sequence[str] = ()
    """All of them stand in the refusal or the warnings."""
    verdict: Verdict = REFUSED
    opener: Opener = STUDY


def file_of(name: str, content: Content) -> Callable[[Path], Path]:
    """Builds one file."""

    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content() if callable(content) else content)
        return path

    return build


def cases_of(kind: str, rows: Sequence[Row], verdict: Verdict = REFUSED, opener: Opener = STUDY) -> list[Case]:
    """A case for each row."""
    return [
        Case(f"{kind}: {name}", wrong, file_of(file, content), words, verdict, opener)
        for name, wrong, file, content, words in rows
    ]
