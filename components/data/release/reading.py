"""From released conversations to studies and questions that can be trained on, boxes read by the one grammar.

Boxes of a 2D picture are pixels of the picture as Qwen's processor resizes it; they are brought to the pixels of the
picture itself. Boxes of a volume are whole slices and pixels of the slices. What the teacher's text can't be used for
is counted by reason.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, sqrt
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from PIL import Image, UnidentifiedImageError

from components.data.release.rows import PLACE, Conversation, Pictures, conversations
from components.data.vqa.item import Report
from components.data.vqa.tables import as_published
from model.imaging import shards
from model.imaging.shards import Study
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.grammar import BOX, BOX_CLOSE, BOX_OPEN, THINK_CLOSE, THINK_OPEN, parse, parse_box
from model.interface.laterality import speaks_of_sides
from model.interface.question import Question, Remark
from model.interface.trace import Answer

FACTOR, FEWEST, MOST, LONGEST = 28, 3136, 12_845_056, 200
"""Qwen2.5-VL's processor: sides are multiples of the first, their product from the second to the third, one side at
most so many times the other (smart_resize in the reference's processor)."""
LARGEST = 50_000_000
"""Pixels of a stored picture."""
OPTION = re.compile(r"([A-Z])\. (.*)")


@dataclass(frozen=True, slots=True)
class Told:
    """A conversation, read."""

    text: str
    options: tuple[str, ...]
    trace: str
    """What the teacher says, places of pictures taken out."""
    answer: Answer
    dimension: int
    shown: tuple[str, ...]
    """Ids of the pictures of the user's turn; those after boxes are left out, for crops are made again."""


@dataclass(frozen=True, eq=False)
class Sample:
    study: Study | None
    """None where the row is text alone."""
    question: Question
    """Boxes in the study's voxels; in pixels of what the teacher saw where there is none."""


def samples(root: Path, report: Report | None = None) -> Iterator[Sample]:
    """Every usable row of sft; raises BadInput for rows that aren't of this release's form."""
    report = report or Report()
    pictures: Pictures | None = None
    for row in conversations(root):
        found = told(row)
        if reason := _why_unusable(found):
            report.leave_out(row.name, reason)
            continue
        if found.shown and pictures is None:
            pictures = Pictures(root)
        report.used += 1
        yield _sample(row, found, [pictures[one] for one in found.shown] if pictures else [])


def to_shards(root: Path, folder: Path, split: str, report: Report | None = None, *, text: bool = False) -> None:
    """A release -> a sealed folder that trains and evaluates like one of ours, all of it in one split.

    text: keep what is text alone, as questions about no study. SFT trains on it; there is nothing to evaluate it on, so
    it is left out and counted otherwise.
    """
    report = report or Report()
    asked: list[Question] = []
    stored: set[str] = set()

    def stream() -> Iterator[Study]:
        for sample in samples(root, report):
            if sample.study is None and text:
                asked.append(replace(sample.question, split=split))
                continue
            if sample.study is None:
                report.used -= 1
                report.leave_out(sample.question.id, "text alone")
                continue
            asked.append(replace(sample.question, split=split))
            if sample.study.id not in stored:
                stored.add(sample.study.id)
                yield replace(sample.study, split=split)

    shards.write_studies(folder, split, stream())
    shards.write_questions(folder, split, asked)
    shards.seal(folder)


def told(row: Conversation) -> Told:
    """Raises BadInput where turns or pictures don't add up."""
    turns = {message.role: message.content for message in row.messages}
    if len(turns) < len(row.messages) or not {"user", "assistant"} <= set(turns):
        found = " ".join(message.role for message in row.messages)[:60]
        raise as_published(row.name, "messages", found, "one user's and one assistant's turn")
    asked, said = turns["user"], turns["assistant"]
    counted = sum(turn.count(PLACE) for turn in turns.values())
    if row.image_ids and counted != len(row.image_ids):
        raise as_published(row.name, "image_ids", f"{len(row.image_ids)} ids for {counted} places", "an id a place")
    text, options = split_options(asked.replace(PLACE, ""))
    trace = squared(said.replace(PLACE, ""))
    shown = row.image_ids[: asked.count(PLACE)]
    dimension = _dimension(trace, turns.get("system", ""), len(shown))
    return Told(text, options, trace, parse(trace), dimension, shown)


def squared(text: str) -> str:
    """Boxes in round brackets, as the reference's reader also takes them, in the grammar's square ones."""
    return text.replace(f"{BOX_OPEN}(", f"{BOX_OPEN}[").replace(f"){BOX_CLOSE}", f"]{BOX_CLOSE}")


def split_options(asked: str) -> tuple[str, tuple[str, ...]]:
    """(question, options) of a user's text: options are the last lines "A. …", "B. …"; what follows them is dropped."""
    lines = asked.strip("\n").split("\n")
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith("A. "):
            found = []
            for letter, line in zip(ascii_uppercase, lines[start:], strict=False):
                match = OPTION.fullmatch(line)
                if not match or match[1] != letter:
                    break
                found.append(match[2])
            if len(found) > 1:
                return "\n".join(lines[:start]).removesuffix("\n"), tuple(found)
    return "\n".join(lines), ()


def resized(width: int, height: int) -> tuple[int, int]:
    """(columns, rows) that Qwen's processor makes of a picture."""
    if max(width, height) > LONGEST * min(width, height):
        raise ValueError(f"{width} x {height}: one side is over {LONGEST} times the other")
    columns, rows = (max(FACTOR, round(side / FACTOR) * FACTOR) for side in (width, height))
    if columns * rows > MOST:
        scale = sqrt(width * height / MOST)
        columns, rows = (max(FACTOR, floor(side / scale / FACTOR) * FACTOR) for side in (width, height))
    elif columns * rows < FEWEST:
        scale = sqrt(FEWEST / (width * height))
        columns, rows = (ceil(side * scale / FACTOR) * FACTOR for side in (width, height))
    return columns, rows


def _why_unusable(found: Told) -> str:
    answer = found.answer
    if answer.flaws:
        return f"its trace can't be read: {answer.flaws[0].reason}"
    if found.options and (answer.choice is None or answer.choice not in ascii_uppercase[: len(found.options)]):
        return "its letter is no option"
    if not answer.text or not found.text:
        return "no question or no answer"
    return ""


def _sample(row: Conversation, found: Told, stored: Sequence[bytes]) -> Sample:
    fact = {key: str(value) for key, value in row.facts.items()}
    study = _study(row, found, stored, fact) if stored else None
    scale = (1.0, 1.0, 1.0)
    if study and found.dimension == 2:
        width, height, _ = study.volume.shape
        columns, rows = resized(width, height)
        scale = width / columns, height / rows, 1.0
    answer = found.answer
    letter = answer.choice if found.options else None
    words = (found.text, *found.options, found.trace)
    question = Question(
        id=fact.get("id", row.name),
        study=study.id if study else "",
        subject=fact.get("subject") or (found.shown[0] if found.shown else row.name),
        split=fact.get("split", "train"),
        dimension=found.dimension,
        family=fact.get("family", ""),
        text=found.text,
        options=found.options,
        answer=ascii_uppercase.index(letter) if letter else None,
        contrast=fact.get("contrast", ""),
        rationale=tuple(_remarks(found.trace, scale)),
        laterality=any(map(speaks_of_sides, words)),
        licence=fact.get("licence", ""),
        provenance=fact.get("provenance", "UniReason-Med-Data"),
        reply="" if found.options else answer.text,
    )
    return Sample(study, question)


def _study(row: Conversation, found: Told, stored: Sequence[bytes], fact: dict[str, str]) -> Study:
    pictures = [_pixels(one, row.name) for one in stored]
    if len({picture.shape for picture in pictures}) > 1 or (found.dimension == 2 and len(pictures) > 1):
        shapes = sorted({picture.shape for picture in pictures})
        raise as_published(row.name, "pictures", f"{len(pictures)}, {shapes[:3]}", "one, or slices of one size")
    voxels = np.stack(pictures, axis=2)
    volume = Volume(voxels, np.eye(4), "", False, "image", spacing_known=False)
    name, subject = "-".join((found.shown[0], str(len(stored)))), fact.get("subject", found.shown[0])
    return Study(
        id=name,
        subject=subject,
        split=fact.get("split", "train"),
        contrast=fact.get("contrast", ""),
        volume=volume,
        group=subject,
        licence=fact.get("licence", ""),
        provenance=fact.get("provenance", "UniReason-Med-Data"),
    )


def _pixels(stored: bytes, name: str) -> np.ndarray:
    """uint8 (x, y), or (x, y, 3) of a picture that has colours."""
    try:
        with Image.open(io.BytesIO(stored), formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > LARGEST:
                raise as_published(name, "picture", f"{picture.width} x {picture.height}", f"up to {LARGEST} pixels")
            colours = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise as_published(name, "picture", type(error).__name__, "a whole PNG or JPEG") from error
    turned = colours.transpose(1, 0, 2)
    return turned[..., 0] if (turned == turned[..., :1]).all() else turned


def _remarks(trace: str, scale: tuple[float, float, float]) -> Iterator[Remark]:
    """The thought, a remark a box, boxes times scale along (x, y, z); words after the last box are one more."""
    thought = trace[trace.index(THINK_OPEN) + len(THINK_OPEN) : trace.index(THINK_CLOSE)]
    at = 0
    for match in BOX.finditer(thought):
        box = parse_box(match[1])
        words, at = thought[at : match.start()].strip(), match.end()
        if isinstance(box, Box):
            low, high = ([n * s for n, s in zip(corner, scale, strict=True)] for corner in (box.low, box.high))
            yield Remark(words, Box.of((*low, *high)))
    if rest := thought[at:].strip():
        yield Remark(rest)


def _dimension(trace: str, system: str, shown: int) -> int:
    numbers = {box.count(",") + 1 for box in BOX.findall(trace)}
    if numbers:
        return 3 if 6 in numbers else 2
    return 3 if shown > 1 or ("3D" in system and shown != 1) else 2
