"""VQA-RAD: clinicians' questions about radiology images, as parquet.

The official splits share about 200 images: those of train that are in test too are left out and named, see `hub`.
"""

from collections.abc import Iterator
from pathlib import Path

from components.data.vqa.hub import hub_items
from components.data.vqa.item import Item, Report

NAME = "vqa_rad"
LICENCE = "CC0 1.0"
FILES = {"train": "train", "test": "test"}


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    return hub_items(NAME, LICENCE, FILES, root, split, report or Report(), patient=True)
