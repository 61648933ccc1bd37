"""OmniMedVQA: questions about the images of some 70 sets, two to four options.

    QA_information/Open-access/*.json, QA_information/Restricted-access/*.json
    Images/…, as image_path says

The answer is a text: its letter is the option that equals it, and none where two options are alike. A row or so spells
modality_type "modality". Some of the sets are also in SA-Med2D, see `gates`.
"""

from collections.abc import Iterator
from pathlib import Path

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import offered, right_of
from components.data.vqa.tables import Row, as_published, json_rows, words

NAME = "omni_med_vqa"
LICENCE = "that of the set each image comes from"
SPLITS = ("test",)
FOLDERS = ("Open-access", "Restricted-access")
COLUMNS = ("image_path", "question", "gt_answer", "question_id", "dataset", "question_type")


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    splits_asked(NAME, split, SPLITS)
    for name in _files(root):
        for k, row in json_rows(root, name, COLUMNS):
            number = words(row, "question_id", name, k)
            options = offered(row.get(f"option_{letter}") for letter in "ABCD")
            right = right_of(options, text=words(row, "gt_answer", name, k))
            if not words(row, "question", name, k):
                report.leave_out(number, "no question")
            elif isinstance(right, str):
                report.leave_out(number, right)
            else:
                report.used += 1
                yield _item(root, name, k, row, tuple(options.values()), right)


def _files(root: Path) -> list[str]:
    found = [path for folder in FOLDERS for path in sorted((root / "QA_information" / folder).glob("*.json"))]
    if not found:
        raise as_published("QA_information/Open-access/*.json", "files", "none", "one or more")
    return [path.relative_to(root).as_posix() for path in found]


def _item(root: Path, name: str, k: int, row: Row, options: tuple[str, ...], right: int) -> Item:
    image, text, dataset = (words(row, column, name, k) for column in ("image_path", "question", "dataset"))
    existing(root, image)
    return Item(
        source=NAME,
        id=words(row, "question_id", name, k),
        subject=f"{dataset}--{Path(image).stem}",
        images=(image,),
        text=text,
        options=options,
        answer=right,
        answer_text=options[right],
        split="test",
        family=words(row, "question_type", name, k),
        modality=str(row.get("modality_type") or row.get("modality") or ""),
        sides=sides_of(text, *options, patient=False),
        licence=f"{LICENCE}: {dataset}",
    )
