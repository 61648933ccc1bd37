"""PMC-VQA, both versions: generated questions about figures of papers, four options.

    train_2.csv, test_2.csv     version 2, read where it is there: Figure_path, Question, Choice A…D, Answer, split
    train.csv, test.csv         version 1: the answer's column is spelled Anwser in some files
    figures/, images/           the figures

The answer is a letter, or the option's text; an option may repeat its letter ("A: liver"). A subject is the paper.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import offered, right_of
from components.data.vqa.tables import as_published, csv_rows

NAME = "pmc_vqa"
LICENCE = "that of the paper each figure comes from (PubMed Central, open access)"
SPLITS = ("train", "test")
COLUMNS = ("Figure_path", "Question", "Choice A", "Choice B", "Choice C", "Choice D")
ANSWERS = ("Answer", "Anwser")
FOLDERS = ("figures", "images")


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    for one in splits_asked(NAME, split, SPLITS):
        name = f"{one}_2.csv" if (root / f"{one}_2.csv").is_file() else f"{one}.csv"
        for k, row in csv_rows(root, name, COLUMNS):
            place = f"{Path(name).stem}-{k}"
            options = offered(row[f"Choice {letter}"] for letter in "ABCD")
            letter, said = _answer(row, name)
            right = right_of(options, letter, said)
            if row.get("split", one) not in (one, ""):
                report.leave_out(place, "its own column names another split")
            elif not row["Question"].strip():
                report.leave_out(place, "no question")
            elif isinstance(right, str):
                report.leave_out(place, right)
            else:
                report.used += 1
                yield _item(root, one, place, row, tuple(options.values()), right)


def _answer(row: Mapping[str, str], name: str) -> tuple[str, str]:
    """(letter, text), "" for what the row doesn't tell."""
    column = next((column for column in ANSWERS if column in row), None)
    if column is None:
        raise as_published(name, "columns", "no Answer", " or ".join(ANSWERS))
    told = row[column].strip()
    label = row.get("Answer_label", "").strip()
    if re.fullmatch(r"[A-D]", told):
        return told, ""
    if spelled := re.match(r"([A-D])\s*[:.)]\s*(.+)\Z", told, re.DOTALL):
        return spelled[1], spelled[2]
    return label if re.fullmatch(r"[A-D]", label) else "", told


def _item(root: Path, split: str, place: str, row: Mapping[str, str], options: tuple[str, ...], right: int) -> Item:
    figure, text = row["Figure_path"].strip(), row["Question"].strip()
    folder = next((folder for folder in FOLDERS if (root / folder / figure).is_file()), FOLDERS[0])
    existing(root, folder, figure)
    return Item(
        source=NAME,
        id=place,
        subject=figure.split("_")[0],
        images=(f"{folder}/{figure}",),
        text=text,
        options=options,
        answer=right,
        answer_text=options[right],
        split=split,
        family="",
        modality="",
        sides=sides_of(text, *options, patient=False),
        licence=LICENCE,
    )
