"""Which adapter reads which question answering set: a name -> the module that knows its layout."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from components.data.vqa.item import Item, Report
from model.interface.errors import BadInput

ADAPTERS = (
    "deep_tumor_vqa", "m3d_vqa", "medxpertqa_mm", "omni_med_vqa", "path_vqa", "pmc_vqa", "rad3d", "radgenome_chestct",
    "slake", "vqa_rad",
)  # fmt: skip
"""Modules of this folder; each is its own NAME."""


class Adapter(Protocol):
    NAME: str
    LICENCE: str

    def items(self, root: Path, split: str = "", report: Report | None = None) -> Iterator[Item]:
        """Of one split or of all, always in one order, a row in memory at a time; raises BadInput.

        report: is filled as items are taken.
        """
        ...


def adapter(name: str) -> Adapter:
    """Raises BadInput for a set that nobody here knows."""
    if name not in ADAPTERS:
        raise BadInput(
            f"unknown question answering set {name!r}",
            where=f"set: found {name!r}, wanted one of {', '.join(ADAPTERS)}",
            next="choose one of these; docs/vqa_sets.md tells how each is laid out",
        )
    return cast(Adapter, import_module(f"components.data.vqa.{name}"))
