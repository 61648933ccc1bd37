"""How CT-RATE names its volumes: person, scan, reconstruction. 3D-RAD and RadGenome-ChestCT ask about the same ones."""

import re
from dataclasses import dataclass

from components.data.vqa.tables import as_published

SPLITS = {"train": "train", "valid": "valid", "test": "valid"}
"""How 3D-RAD and others begin a name -> how CT-RATE does."""


@dataclass(frozen=True, slots=True)
class Scan:
    split: str
    """"train" or "valid"."""
    number: int
    """Of the person, within the split."""
    visit: str
    """"a", "b", …: the person's scans in their order."""
    reconstruction: int
    """From 1; all of one scan show the same body."""

    @property
    def person(self) -> str:
        return f"{self.split}_{self.number}"

    @property
    def scan(self) -> str:
        return f"{self.person}_{self.visit}"

    @property
    def name(self) -> str:
        return f"{self.scan}_{self.reconstruction}"


def scan_of(volume: str, table: str, k: int) -> Scan:
    """From "train_12_a_1.nii.gz", with or without its ending; raises BadInput, which names table and row."""
    found = re.fullmatch(r"(train|valid|test)_(\d+)_([a-z]+)_(\d+)(\.nii\.gz|\.npz)?", volume.strip())
    if not found:
        raise as_published(table, f"row {k}, volume", repr(volume)[:40], "train_1_a_1.nii.gz")
    return Scan(SPLITS[found[1]], int(found[2]), found[3], int(found[4]))
