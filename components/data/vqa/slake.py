"""SLAKE 1.0, English: radiology images with open and closed questions.

    train.json, validate.json (or validation.json), test.json       lists of questions, English and Chinese
    imgs/xmlabN/source.jpg

English first, leaks second: both languages together share images between splits, English alone doesn't. Some questions
mean the picture's sides ("on the left side of this image"), the others the patient's.
"""

from collections.abc import Iterator
from pathlib import Path

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import BOTH, yes_or_no
from components.data.vqa.tables import Row, as_published, json_rows, words

NAME = "slake"
LICENCE = "CC BY 4.0"
FILES = {"train": ("train.json",), "val": ("validate.json", "validation.json"), "test": ("test.json",)}
COLUMNS = ("img_name", "question", "answer", "q_lang", "modality", "content_type", "qid")


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    """Raises BadInput where an image of English questions is in two splits."""
    report = report or Report()
    _check_leaks(root)
    for one in splits_asked(NAME, split, tuple(FILES)):
        for name, k, row in _rows(root, one):
            number = str(row["qid"])
            if row["q_lang"] != "en":
                report.leave_out(number, "not in English")
            elif not (words(row, "question", name, k) and words(row, "answer", name, k)):
                report.leave_out(number, "no question or no answer")
            else:
                report.used += 1
                yield _item(root, one, name, k, row)


def _item(root: Path, split: str, name: str, k: int, row: Row) -> Item:
    image = f"imgs/{words(row, 'img_name', name, k)}"
    existing(root, image)
    text, said = words(row, "question", name, k), words(row, "answer", name, k)
    closed = yes_or_no(said)
    return Item(
        source=NAME,
        id=str(row["qid"]),
        subject=Path(image).parent.name,
        images=(image,),
        text=text,
        options=() if closed is None else BOTH,
        answer=closed,
        answer_text=said if closed is None else BOTH[closed],
        split=split,
        family=words(row, "content_type", name, k),
        modality=words(row, "modality", name, k),
        sides=sides_of(text, said, patient=True),
        licence=LICENCE,
    )


def _rows(root: Path, split: str) -> Iterator[tuple[str, int, Row]]:
    name = next((name for name in FILES[split] if (root / name).is_file()), FILES[split][0])
    for k, row in json_rows(root, name, COLUMNS):
        if row["q_lang"] not in ("en", "zh"):
            raise as_published(name, f"row {k}, q_lang", repr(row["q_lang"])[:20], "en or zh")
        yield name, k, row


def _check_leaks(root: Path) -> None:
    where: dict[str, str] = {}
    for split in FILES:
        for name, k, row in _rows(root, split):
            image = words(row, "img_name", name, k)
            if row["q_lang"] == "en" and where.setdefault(image, split) != split:
                raise as_published(
                    name, f"row {k}, img_name", f"{image}, also in {where[image]}", "an image of one split"
                )
