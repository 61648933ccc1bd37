"""The doors a malformed input comes in by: each opens a path as the program does, and returns what it warns of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.imaging.reading.declared import Declared
from model.interface.boxes import Box
from model.interface.trace import Flaw


@dataclass(frozen=True)
class Opener:
    open: Callable[[Path], Sequence[str]]
    """Raises a `Failure`."""
    needs: tuple[str, ...]
    """Modules it imports. They are loaded before anything is measured."""


READERS = (
    "components.serving.inspect", "model.imaging.reading.dicom", "model.imaging.reading.nifti",
    "model.imaging.reading.pictures", "model.imaging.reading.itk", "model.imaging.reading.arrays", "SimpleITK",
)  # fmt: skip
OPTIONS = ("Yes", "No")
SEEN = (64, 64, 32)
"""Model space that a volume's answer points into, (x, y, z); an image's is its first slice."""


def study(declared: Declared | None = None) -> Opener:
    """As `urm inspect FILE`: read, prepared, and its header's fields named."""

    def open_(path: Path) -> Sequence[str]:
        from components.serving.inspect import inspected
        from model.interface.contract import Contract

        return inspected(path, declared or Declared(), Contract())[0].warnings

    return Opener(open_, READERS)


def question(text: str, options: tuple[str, ...] = OPTIONS) -> Opener:
    """As `urm ask FILE text`, as far as it goes without a checkpoint."""

    def open_(path: Path) -> Sequence[str]:
        from components.serving.ask import question_about

        return question_about(path, text, options, None)[0].warnings

    return Opener(open_, ("components.serving.ask", *READERS))


def override(*changes: str) -> Opener:
    """As `urm ask FILE --override change`."""

    def open_(path: Path) -> Sequence[str]:
        from components.serving.ask import overridden
        from model.interface.contract import Contract

        overridden(Contract(), changes)
        return ()

    return Opener(open_, ("components.serving.ask",))


def _json(path: Path) -> Sequence[str]:
    from model.interface.strict_json import read_json

    read_json(path)
    return ()


def _params(path: Path) -> Sequence[str]:
    from components.settings import load
    from tests.components.step import Step

    load("step", Step, Path(path.name))  # in its folder, as the program is
    return ()


def _checkpoint(path: Path) -> Sequence[str]:
    from model.vlm import checkpoint

    checkpoint.load(path)
    return ()


def _shards(path: Path) -> Sequence[str]:
    from model.imaging.reading.sealed import check
    from model.imaging.shards import read_questions, read_studies

    folder = Path(path.name)  # in its folder, as the program is
    check(folder)
    read_questions(folder, "train")
    for _ in read_studies(folder, "train"):
        pass
    return ()


def _answer(path: Path) -> Sequence[str]:
    """As the engine judges what was sampled: of a volume, or of an image where the name says so."""
    from model.interface import grammar

    text, shape = path.read_text(encoding="utf-8"), (*SEEN[:2], 1) if "image" in path.name else SEEN
    said = grammar.parse(text)
    flaws = list(said.flaws)
    at = text.rfind(grammar.BOX_CLOSE) + len(grammar.BOX_CLOSE)
    pointed = grammar.last_box(text[:at]) if grammar.BOX_CLOSE in text else None
    if isinstance(pointed, Box):
        flaws += filter(None, [grammar.why_other_kind(text[:at], shape), grammar.why_not_usable(pointed, shape)])
    contradictory = grammar.why_contradictory(said, OPTIONS)
    flaws += [contradictory] if contradictory else []
    assert all(isinstance(flaw, Flaw) for flaw in flaws)
    return [flaw.reason for flaw in flaws]


STUDY = study()
JSON = Opener(_json, ("model.interface.strict_json",))
PARAMS = Opener(_params, ("components.settings", "tests.components.step"))
SHARDS = Opener(_shards, ("model.imaging.reading.sealed", "model.imaging.shards"))
ANSWER = Opener(_answer, ("model.interface.grammar",))
CHECKPOINT = Opener(_checkpoint, ("model.vlm.checkpoint", "model.vlm.backbone"))
"""Loads torch: its cases come last, so that all others are measured in a small process."""
