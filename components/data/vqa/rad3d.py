"""3D-RAD: open and closed questions about the chest CTs of CT-RATE, six tasks.

    train/Task1_Image_Observation/….csv, test/…         a table a subtask
    dataset/train_fixed/train_1/train_1_a/train_1_a_1.nii.gz, dataset/valid_fixed/…       the volumes, as in CT-RATE

Root is the folder of these, or the one that 3DRAD/ lies in. test_* are CT-RATE's valid_*. A finding is copied to each
reconstruction of a scan: it is asked of the first that has it. Volumes that aren't there are counted, for they are
published elsewhere. Task 4, existence, is most of test: report the mean over tasks.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.data.vqa.ct_rate import Scan, scan_of
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import folded, offered, right_of
from components.data.vqa.tables import as_published, csv_rows

NAME = "rad3d"
LICENCE = "CC BY-NC-SA 4.0 (CT-RATE)"
SPLITS = ("train", "test")
COLUMNS = ("Task", "VolumeName", "Question", "Answer", "QuestionType", "AnswerChoice", *(f"Choice {c}" for c in "ABCD"))


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    tables = "3DRAD/" if (root / "3DRAD").is_dir() else ""
    for one in splits_asked(NAME, split, SPLITS):
        for name in _tables(root, f"{tables}{one}"):
            yield from _of_table(root, one, name, report)


def _of_table(root: Path, split: str, name: str, report: Report) -> Iterator[Item]:
    asked: dict[tuple[str, str], int] = {}
    for k, row in csv_rows(root, name, COLUMNS):
        place = f"{name.split('/')[-2].split('_')[0]}-{Path(name).stem.replace(' ', '-')}-{split}-{k}"
        scan = scan_of(row["VolumeName"], name, k)
        volume = f"dataset/{scan.split}_fixed/{scan.person}/{scan.scan}/{scan.name}.nii.gz"
        closed, options, right = _options(row, name, k)
        first = asked.setdefault((scan.scan, folded(row["Question"])), scan.reconstruction)
        if first != scan.reconstruction:
            report.leave_out(place, "asked of another reconstruction of the scan")
        elif not row["Question"].strip() or folded(row["Answer"]) in ("", "-"):
            report.leave_out(place, "no question or no answer")
        elif isinstance(right, str):
            report.leave_out(place, right)
        elif not (root / volume).is_file():
            report.leave_out(place, "its volume is not there")
        else:
            report.used += 1
            yield _item(split, name, place, row, scan, volume, options if closed else (), right)


def _options(row: Mapping[str, str], name: str, k: int) -> tuple[bool, tuple[str, ...], int | str | None]:
    """(is it closed, its options, the right one's index or why there is none)."""
    kind = row["QuestionType"].strip().lower()
    if kind not in ("open", "close", "closed"):
        raise as_published(name, f"row {k}, QuestionType", repr(kind)[:20], "Open or Close")
    if kind == "open":
        return False, (), None
    options = offered(row[f"Choice {letter}"] for letter in "ABCD")
    return True, tuple(options.values()), right_of(options, row["AnswerChoice"].strip(), row["Answer"].strip())


def _item(
    split: str, name: str, place: str, row: Mapping[str, str], scan: Scan, volume: str, options: tuple[str, ...],
    right: int | None,
) -> Item:  # fmt: skip
    text = row["Question"].strip()
    said = row["Answer"].strip() if right is None else options[right]
    task = re.sub(r"\ATask\d+_", "", name.split("/")[-2]).replace("_", " ").lower()
    return Item(
        source=NAME,
        id=place,
        subject=scan.person,
        images=(volume,),
        text=text,
        options=options,
        answer=right,
        answer_text=said,
        split=split,
        family=task,
        modality="CT",
        sides=sides_of(text, *options, said, patient=True),
        licence=LICENCE,
    )


def _tables(root: Path, folder: str) -> list[str]:
    found = sorted((root / folder).glob("Task*/*.csv"))
    if not found:
        raise as_published(f"{folder}/Task*/*.csv", "files", "none", "one or more")
    return [path.relative_to(root).as_posix() for path in found]
