"""PathVQA: questions about pathology pictures from textbooks, as parquet; left and right are nobody's that is known."""

from collections.abc import Iterator
from pathlib import Path

from components.data.vqa.hub import hub_items
from components.data.vqa.item import Item, Report

NAME = "path_vqa"
LICENCE = "MIT (as tagged where it is published; the pictures are textbooks')"
FILES = {"train": "train", "val": "validation", "test": "test"}


def items(root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
    return hub_items(NAME, LICENCE, FILES, root, split, report or Report(), patient=False)
