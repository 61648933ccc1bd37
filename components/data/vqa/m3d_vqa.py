"""M3D-VQA: generated questions about CT volumes of five kinds, four options.

    M3D_VQA_train.csv, M3D_VQA_val.csv, M3D_VQA_test.csv
    M3D_Cap_npy/ct_case/000123/….npy, as Image Path says, with or without the first folder

The arrays have no frame, and the set's own training mirrors them without touching the text: whose left and right the
questions mean is unknown.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import offered, right_of
from components.data.vqa.tables import as_published, csv_rows

NAME = "m3d_vqa"
LICENCE = "non-commercial (Radiopaedia; to the makers of M3D only)"
SPLITS = ("train", "val", "test")
IMAGES = "M3D_Cap_npy"
KINDS = {"1": "plane", "2": "phase", "3": "organ", "4": "abnormality", "5": "location"}
"""By Question Type."""
COLUMNS = ("Image Path", "Question Type", "Question", "Answer", "Answer Choice", *(f"Choice {c}" for c in "ABCD"))


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    for one in splits_asked(NAME, split, SPLITS):
        name = f"M3D_VQA_{one}.csv"
        for k, row in csv_rows(root, name, COLUMNS):
            kind = row["Question Type"].strip()
            if kind not in KINDS:
                raise as_published(name, f"row {k}, Question Type", repr(kind)[:20], f"one of {', '.join(KINDS)}")
            options = offered(row[f"Choice {letter}"] for letter in "ABCD")
            right = right_of(options, row["Answer Choice"].strip(), row["Answer"].strip())
            if not row["Question"].strip():
                report.leave_out(f"{one}-{k}", "no question")
            elif isinstance(right, str):
                report.leave_out(f"{one}-{k}", right)
            else:
                report.used += 1
                yield _item(root, one, k, row, tuple(options.values()), right)


def _item(root: Path, split: str, k: int, row: Mapping[str, str], options: tuple[str, ...], right: int) -> Item:
    image, text = PurePosixPath(row["Image Path"].strip().lstrip("/")), row["Question"].strip()
    image = image if image.parts[0] == IMAGES else PurePosixPath(IMAGES) / image
    existing(root, image.as_posix())
    return Item(
        source=NAME,
        id=f"{split}-{k}",
        subject="/".join(image.parts[1:3]),
        images=(image.as_posix(),),
        text=text,
        options=options,
        answer=right,
        answer_text=options[right],
        split=split,
        family=KINDS[row["Question Type"].strip()],
        modality="CT",
        sides=sides_of(text, *options, patient=False),
        licence=LICENCE,
    )
