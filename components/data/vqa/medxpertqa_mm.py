"""MedXpertQA-MM: expert questions with five options, A to E, and one to six images.

    MM/dev.jsonl, MM/test.jsonl
    images/

The question repeats its options after "Answer Choices:"; they are cut off, or a model would read them twice.
"""

from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import offered, right_of
from components.data.vqa.tables import Row, as_published, json_lines, words

NAME = "medxpertqa_mm"
LICENCE = "MIT"
FILES = {"val": "MM/dev.jsonl", "test": "MM/test.jsonl"}
COLUMNS = ("id", "question", "options", "label", "images", "medical_task")
REPEATED = "Answer Choices:"


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    for one in splits_asked(NAME, split, tuple(FILES)):
        name = FILES[one]
        for k, row in json_lines(root, name, COLUMNS):
            options = offered(_options(row, name, k))
            right = right_of(options, letter=words(row, "label", name, k))
            if isinstance(right, str):
                report.leave_out(words(row, "id", name, k), right)
            else:
                report.used += 1
                yield _item(root, one, name, k, row, tuple(options.values()), right)


def _options(row: Row, name: str, k: int) -> list[str]:
    """Of A, B, …, which must follow one another."""
    found = row["options"]
    letters = list(ascii_uppercase[: len(found)]) if isinstance(found, dict) else []
    if not letters or sorted(found) != letters or not all(isinstance(found[letter], str) for letter in letters):
        raise as_published(name, f"row {k}, options", "another form", "texts by A, B, …")
    return [found[letter] for letter in letters]


def _item(root: Path, split: str, name: str, k: int, row: Row, options: tuple[str, ...], right: int) -> Item:
    listed = row["images"]
    if not isinstance(listed, list) or not listed or not all(isinstance(image, str) for image in listed):
        raise as_published(name, f"row {k}, images", "another form", "a list of names")
    images = tuple(f"images/{image}" for image in listed)
    for image in images:
        existing(root, image)
    text = words(row, "question", name, k).split(REPEATED)[0].strip()
    if not text:
        raise as_published(name, f"row {k}, question", "no words", "a question")
    return Item(
        source=NAME,
        id=words(row, "id", name, k),
        subject=words(row, "id", name, k),
        images=images,
        text=text,
        options=options,
        answer=right,
        answer_text=options[right],
        split=split,
        family=words(row, "medical_task", name, k),
        modality="",
        sides=sides_of(text, *options, patient=True),
        licence=LICENCE,
    )
