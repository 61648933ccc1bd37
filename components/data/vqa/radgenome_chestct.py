"""RadGenome-ChestCT: questions made from reports of CT-RATE, of four kinds, about regions that a model outlined.

    dataset/radgenome_files/train_vqa_abnormality.csv, …_location, …_presence, …_size, validation_vqa_….csv
    dataset/train_preprocessed/train_1/train_1a/train_1_a_1.nii.gz, dataset/valid_preprocessed/…

Only first reconstructions. Volumes that aren't there are counted, for few will have them all.
"""

from collections.abc import Iterator
from pathlib import Path

from components.data.vqa.ct_rate import scan_of
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import BOTH, yes_or_no
from components.data.vqa.tables import csv_rows

NAME = "radgenome_chestct"
LICENCE = "CC BY-NC-SA 4.0 (the latest card says CC BY 4.0; CT-RATE's terms hold for the volumes)"
SPLITS = {"train": "train", "val": "validation"}
KINDS = ("abnormality", "location", "presence", "size")
COLUMNS = ("Volumename", "Question", "Answer")


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    report = report or Report()
    for one in splits_asked(NAME, split, tuple(SPLITS)):
        for kind in KINDS:
            name = f"dataset/radgenome_files/{SPLITS[one]}_vqa_{kind}.csv"
            for k, row in csv_rows(root, name, COLUMNS):
                scan = scan_of(row["Volumename"], name, k)
                folder = f"dataset/{scan.split}_preprocessed/{scan.person}/{scan.person}{scan.visit}"
                volume, place = f"{folder}/{scan.name}.nii.gz", f"{one}-{kind}-{k}"
                text, said = row["Question"].strip(), row["Answer"].strip()
                if not (text and said):
                    report.leave_out(place, "no question or no answer")
                elif scan.reconstruction != 1:
                    report.leave_out(place, "not of a first reconstruction")
                elif not (root / volume).is_file():
                    report.leave_out(place, "its volume is not there")
                else:
                    report.used += 1
                    closed = yes_or_no(said)
                    yield Item(
                        source=NAME,
                        id=place,
                        subject=scan.person,
                        images=(volume,),
                        text=text,
                        options=() if closed is None else BOTH,
                        answer=closed,
                        answer_text=said if closed is None else BOTH[closed],
                        split=one,
                        family=kind,
                        modality="CT",
                        sides=sides_of(text, said, patient=True),
                        licence=LICENCE,
                    )
