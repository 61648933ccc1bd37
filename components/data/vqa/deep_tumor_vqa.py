"""DeepTumorVQA 2: questions about tumours in the abdominal CTs of AbdomenAtlas, up to four options.

    benchmark/test_qa.json                  {…, "questions": [ … ]}
    benchmark/ct/BDMAP_00000001/ct.nii.gz
    train/train_qa.csv                      the same fields
    train/ct/BDMAP_…/ct.nii.gz              published elsewhere: those that aren't there are counted

The options stand inside mc_question, after the question; spacing and shape are numbers written as text. The pool of
validation questions isn't read: test was drawn from it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import folded, offered, right_of
from components.data.vqa.tables import Row, as_published, csv_rows, json_rows, words

NAME = "deep_tumor_vqa"
LICENCE = "CC BY 4.0 (questions); the CTs are under the terms of the set each comes from"
SPLITS = ("train", "test")
TEST, TRAIN = "benchmark/test_qa.json", "train/train_qa.csv"
COLUMNS = (
    "image_id", "spacing", "shape", "question", "answer", "mc_question", "correct_option", "question_type",
    "question_subtype",
)  # fmt: skip
NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    for one in splits_asked(NAME, split, SPLITS):
        name = TEST if one == "test" else TRAIN
        rows = json_rows(root, name, COLUMNS, key="questions") if one == "test" else csv_rows(root, name, COLUMNS)
        for k, row in rows:
            place = str(row.get("qid") or f"{one}-{k}")
            scan = words(row, "image_id", name, k)
            if not re.fullmatch(r"BDMAP_\d+", scan):
                raise as_published(name, f"row {k}, image_id", repr(scan)[:30], "BDMAP_ and digits")
            volume = f"{'benchmark' if one == 'test' else 'train'}/ct/{scan}/ct.nii.gz"
            options = options_in(words(row, "mc_question", name, k), words(row, "question", name, k))
            said = str(row["answer"]).strip()
            told = said if folded(said) in map(folded, options.values()) else ""
            right = right_of(options, words(row, "correct_option", name, k), told)
            if not all(_three_lengths(str(row[column])) for column in ("spacing", "shape")):
                report.leave_out(place, "spacing or shape isn't three lengths")
            elif isinstance(right, str):
                report.leave_out(place, right)
            elif one == "train" and not (root / volume).is_file():
                report.leave_out(place, "its volume is not there")
            else:
                existing(root, volume)
                report.used += 1
                yield _item(one, name, k, row, place, volume, tuple(options.values()), right)


def options_in(asked: str, question: str) -> dict[str, str]:
    """Letter -> text of the options that follow a question: "… A: Normal B: Mild", on lines of their own or not."""
    rest = asked[len(question) :] if asked.startswith(question) else asked
    ends = []
    at = 0
    for letter in "ABCDEF":
        found = re.compile(rf"(?:\A|\s|\(){letter}\s*[:.)]\s").search(rest, at)
        if not found:
            break
        ends.append((found.start(), found.end()))
        at = found.end()
    texts = [rest[end:begin].strip(" \n;,") for (_, end), (begin, _) in zip(ends, [*ends[1:], (None, 0)], strict=True)]
    return offered(texts)


def _item(
    split: str, name: str, k: int, row: Row, place: str, volume: str, options: tuple[str, ...], right: int
) -> Item:
    text = words(row, "question", name, k)
    return Item(
        source=NAME,
        id=place,
        subject=words(row, "image_id", name, k),
        images=(volume,),
        text=text,
        options=options,
        answer=right,
        answer_text=options[right],
        split=split,
        family=f"{words(row, 'question_type', name, k)}: {words(row, 'question_subtype', name, k)}",
        modality="CT",
        sides=sides_of(text, *options, patient=True),
        licence=LICENCE,
    )


def _three_lengths(told: str) -> bool:
    found = [float(number) for number in NUMBER.findall(told)]
    return len(found) == 3 and min(found) > 0 and "-" not in re.sub(r"e-", "", told.lower())
