"""What a question answering set asks: one question about one or more images, its truth, and whose sides it means.

An adapter is a module of this folder with `NAME`, `LICENCE` and `items(root, split, report) -> Iterator[Item]`, see
`registry`. Reading items opens no image. What can't be used is counted by reason in a `Report`; what isn't as the set
was published raises BadInput.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Literal

from model.interface.errors import BadInput
from model.interface.laterality import PICTURE, speaks_of_sides
from model.interface.question import Question

Sides = Literal["patient", "image", "unknown"]
"""Whose left and right the words mean: the patient's, those of the picture as it is shown, or nobody can tell."""
SAMPLES = 5
"""Ids kept of each reason an item was left out for."""
POINTED = re.compile(rf"\b(?:this|that|these|an?) (?={PICTURE}\b)")
"""How sets speak of the picture, where `laterality` reads "the"."""


@dataclass(frozen=True, slots=True)
class Item:
    source: str
    """The adapter's NAME."""
    id: str
    """Unique within the source."""
    subject: str
    """The person, unique within the source; the image where nobody knows the person."""
    images: tuple[str, ...]
    """In the order the question counts them: paths below the set's root, "file.parquet#row" of one inside a table."""
    text: str
    options: tuple[str, ...]
    """2 to 26, in the set's order; empty of an open question."""
    answer: int | None
    """Index into options; None of an open question."""
    answer_text: str
    split: str
    """"train", "val" or "test"."""
    family: str
    """The kind of question, as the set names it; "" where it doesn't."""
    modality: str
    """As the set names it; "" where it doesn't."""
    sides: Sides
    licence: str

    def __post_init__(self) -> None:
        if not (self.images and self.text and self.answer_text):
            raise ValueError(f"item {self.id}: no image, text or answer")
        if len(self.options) == 1 or len(self.options) > len(ascii_uppercase):
            raise ValueError(f"item {self.id}: {len(self.options)} options, expected 0 or 2 to 26")
        if (self.answer is None) != (not self.options):
            raise ValueError(f"item {self.id}: {len(self.options)} options and answer {self.answer}")
        if self.answer is not None and self.options[self.answer] != self.answer_text:
            raise ValueError(f"item {self.id}: answer {self.answer} is not the option its text is")

    @property
    def letter(self) -> str | None:
        return None if self.answer is None else ascii_uppercase[self.answer]


@dataclass(slots=True)
class Report:
    """What was read of a set, and what was left out and why."""

    used: int = 0
    unused: Counter[str] = field(default_factory=Counter)
    """By reason."""
    samples: dict[str, list[str]] = field(default_factory=dict)
    """By reason: the first few ids."""

    def leave_out(self, name: str, reason: str) -> None:
        self.unused[reason] += 1
        some = self.samples.setdefault(reason, [])
        if len(some) < SAMPLES:
            some.append(name)

    def render(self) -> str:
        """A line of how many are used, then one a reason, the most frequent first."""
        lines = [f"{self.used} used, {self.unused.total()} left out"]
        lines += [f"  {n}: {reason} ({', '.join(self.samples[reason])})" for reason, n in self.unused.most_common()]
        return "\n".join(lines)


def sides_of(*texts: str, patient: bool) -> Sides:
    """Whose sides an item's words mean; "unknown" of words that mean none.

    patient: the set means the patient's wherever it doesn't speak of the picture.
    """
    said = _said(*texts)
    if not re.search(r"\b(left|right)", said):
        return "unknown"
    if not speaks_of_sides(said):
        return "image"
    # "on the left side of the image?" is answered "Left": what is left of the words is the answer alone
    question = _said(texts[0]) if texts else ""
    if re.search(r"\b(left|right|side)\b", question) and not speaks_of_sides(question) and _of_picture(question):
        return "image"
    return "patient" if patient else "unknown"


def why_not_askable(item: Item) -> str:
    """Why a model can't be asked this, "" where it can: nothing is asked of sides that nobody knows."""
    if item.sides == "unknown" and speaks_of_sides(_said(item.text, *item.options, item.answer_text)):
        return "speaks of left and right, and nobody knows whose"
    return ""


def to_question(item: Item, study: str, dimension: int) -> Question:
    """The question about the stored study its images became; raises BadInput where `why_not_askable` has a reason.

    study: its id. dimension: 2 or 3.
    """
    if reason := why_not_askable(item):
        where = f"{item.source} {item.id}: found sides {item.sides!r}, wanted the patient's or the picture's"
        raise BadInput(f"the question {reason}", where=where, next="leave it out, as `why_not_askable` tells")
    return Question(
        id=f"{item.source}-{item.id}",
        study=study,
        subject=f"{item.source}-{item.subject}",
        split=item.split,
        dimension=dimension,
        family=item.family,
        text=item.text,
        options=item.options,
        answer=item.answer,
        contrast=item.modality,
        laterality=item.sides == "patient",
        licence=item.licence,
        provenance=f"{item.source}, {item.id}",
        reply="" if item.options else item.answer_text,
    )


def splits_asked(name: str, split: str, known: Sequence[str]) -> tuple[str, ...]:
    """All of a set's splits for "", or the one that is asked for; raises BadInput for one it doesn't have."""
    if split and split not in known:
        where = f"split: found {split!r}, wanted one of {', '.join(known)}"
        raise BadInput(f"{name} has no such split", where=where, next="choose one of these, or none for all")
    return (split,) if split else tuple(known)


def _said(*texts: str) -> str:
    return POINTED.sub("the ", " | ".join(texts).lower())


def _of_picture(said: str) -> bool:
    return bool(re.search(rf"\b(?:side|half|part) of the {PICTURE}\b", said))
