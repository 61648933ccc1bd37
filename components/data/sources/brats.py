"""BraTS, adult glioma: four MR contrasts of a skull-stripped head and three tumour regions. A case a contrast.

    BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1c.nii.gz …-seg.nii.gz      2023 on: t1n t1c t2w t2f, labels 1 2 3
    BraTS2021_00000/BraTS2021_00000_t1ce.nii.gz …_seg.nii.gz             before: t1 t1ce t2 flair, labels 1 2 4

The last three digits of the newer names are the time point: a subject is the number before them, and the same number
of 2021 is taken for the same person. A label that isn't in the table of its time is refused: 3 of the older ones, 4
of the newer.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import existing, members, not_of_the_set
from components.data.sources.pairs import with_label_map
from model.imaging.reading.declared import Declared

NAME = "brats"
LICENCE = "Synapse registration and the challenge's terms"
NEWER = ("t1n", "t1c", "t2w", "t2f")
OLDER = ("t1", "t1ce", "t2", "flair")
LABELS = {1: "necrotic tumour core", 2: "peritumoural oedema", 3: "enhancing tumour"}
OLDER_LABELS = {1: "necrotic tumour core", 2: "peritumoural oedema", 4: "enhancing tumour"}


def cases(root: Path) -> Iterator[Case]:
    """Raises BadInput where a contrast or the labels are missing, or a name is of another BraTS."""
    for folder in members(root, root, "BraTS*"):
        study = folder.name
        subject, newer = _subject(study)
        joint, contrasts = ("-", NEWER) if newer else ("_", OLDER)
        labels = existing(root, study, f"{study}{joint}seg.nii.gz")
        for contrast in contrasts:
            image = existing(root, study, f"{study}{joint}{contrast}.nii.gz")
            read = partial(_open, image, labels, newer)
            yield Case(NAME, subject, f"{study}-{contrast}", "", LICENCE, (image, labels), read)


def _open(image: Path, labels: Path, newer: bool) -> Labelled:
    return with_label_map(image, labels, LABELS if newer else OLDER_LABELS, Declared(modality="MR"))


def _subject(study: str) -> tuple[str, bool]:
    """(the person, is it of 2023 or later?)."""
    if newer := re.fullmatch(r"BraTS-GLI-(\d{5})-\d{3}", study):
        return newer[1], True
    if of_2021 := re.fullmatch(r"BraTS2021_(\d{5})", study):
        return of_2021[1], False
    if re.fullmatch(r"BraTS20_Training_\d{3}", study):
        return study, False
    wanted = "BraTS-GLI-00000-000, BraTS2021_00000 or BraTS20_Training_001"
    raise not_of_the_set(study, "name", "another form", wanted)
