"""TotalSegmentator: CT with 104 (v1) or 117 (v2) structures, MR with 50 and more, a mask a structure.

    meta.csv   s0001/ct.nii.gz   s0001/segmentations/liver.nii.gz …        (the MR set: s0001/mri.nii.gz)

meta.csv is separated by ";" and knows the split. Faces are blurred; wrong labels are known to the maintainers
(TotalSegmentator#245, #299): where paired structures contradict the frame, no side is told.
"""

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import check_once, existing, members, missing, not_of_the_set
from components.data.sources.pairs import with_masks
from model.imaging.reading.declared import Declared

NAME = "totalsegmentator"
LICENCE = "CC BY 4.0 (from memory, to be verified)"
IMAGES = {"ct.nii.gz": "CT", "mri.nii.gz": "MR"}
SPLITS = ("train", "val", "test", "")


def cases(root: Path) -> Iterator[Case]:
    """By meta.csv; raises BadInput where a scan or its masks are missing, or a split is unknown."""
    rows = _rows(existing(root, "meta.csv"))
    for study, split in sorted(rows.items()):
        image = next((path for name in IMAGES if (path := root / study / name).is_file()), None)
        if image is None:
            raise missing(root / study / "*", root, " or ".join(IMAGES))
        masks = members(root / study / "segmentations", root, "*.nii.gz")
        named = {path.name.removesuffix(".nii.gz"): (path,) for path in masks}
        read = partial(_open, image, named)
        yield Case(NAME, study, study, split, LICENCE, (image, *masks), read)


def _open(image: Path, masks: Mapping[str, tuple[Path, ...]]) -> Labelled:
    return with_masks(image, masks, Declared(modality=IMAGES[image.name]))


def _rows(path: Path) -> dict[str, str]:
    """Study -> split."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=";")
        if not {"image_id", "split"} <= set(rows.fieldnames or ()):
            found = f"columns {', '.join(rows.fieldnames or ())[:80] or 'none'}"
            raise not_of_the_set(path.name, "header", found, "image_id and split, separated by ;")
        read = [(row["image_id"] or "", row["split"] or "") for row in rows]
    check_once((study for study, _ in read), path.name)
    for study, split in read:
        if split not in SPLITS or not study.isalnum():
            raise not_of_the_set(path.name, study or "image_id", split or "nothing", "a name, and train, val or test")
    return dict(read)
