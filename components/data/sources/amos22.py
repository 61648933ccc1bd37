"""AMOS22: abdominal CT and MR with 15 organs, a label map a scan.

    imagesTr/amos_0001.nii.gz   labelsTr/amos_0001.nii.gz   imagesVa/…   labelsVa/…   dataset.json

Numbers below 500 are CT, the others MR. Right comes before left in the kidneys, unlike AbdomenAtlas. The test scans
have no labels and are not listed.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import existing, members, not_of_the_set
from components.data.sources.ontology import named_all
from components.data.sources.pairs import with_label_map
from model.imaging.reading.declared import Declared
from model.interface.strict_json import read_json

NAME = "amos22"
LICENCE = "CC BY-NC (version to be verified on the set's page)"
LABELS = {
    1: "spleen", 2: "right kidney", 3: "left kidney", 4: "gallbladder", 5: "oesophagus", 6: "liver", 7: "stomach",
    8: "aorta", 9: "inferior vena cava", 10: "pancreas", 11: "right adrenal gland", 12: "left adrenal gland",
    13: "duodenum", 14: "urinary bladder", 15: "prostate or uterus",
}  # fmt: skip
FIRST_MR = 500
SPLITS = {"Tr": "train", "Va": "val"}


def cases(root: Path) -> Iterator[Case]:
    """Raises BadInput where a label map is missing, or the set's own table isn't the one known here."""
    _check_table(existing(root, "dataset.json"))
    for end, split in SPLITS.items():
        images, labels = (members(root / f"{kind}{end}", root, "*.nii.gz") for kind in ("images", "labels"))
        for name in sorted({path.name for path in (*images, *labels)}):
            image, drawn = existing(root, f"images{end}", name), existing(root, f"labels{end}", name)
            study = name.removesuffix(".nii.gz")
            read = partial(_open, image, drawn, _modality(study))
            yield Case(NAME, study, study, split, LICENCE, (image, drawn), read)


def _open(image: Path, labels: Path, modality: str) -> Labelled:
    return with_label_map(image, labels, LABELS, Declared(modality=modality))


def _modality(study: str) -> str:
    number = re.fullmatch(r"amos_(\d+)", study)
    if not number:
        raise not_of_the_set(study, "name", "another form", "amos_ and a number, which tells CT from MR")
    return "CT" if int(number[1]) < FIRST_MR else "MR"


def _check_table(path: Path) -> None:
    stored = read_json(path)
    labels = stored.get("labels") if isinstance(stored, dict) else None
    if not isinstance(labels, dict) or not all(key.isdecimal() for key in labels):
        raise not_of_the_set(path.name, "labels", "no table", "label value -> name")
    found, _ = named_all({int(value): str(name) for value, name in labels.items()})
    for value, name in LABELS.items():
        if found.get(value) != name:
            raise not_of_the_set(path.name, f"labels, {value}", found.get(value, "nothing"), name)
