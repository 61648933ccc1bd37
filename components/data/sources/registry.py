"""Which adapter reads which set: a name -> the module that knows its layout."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from components.data.sources.case import Case
from model.interface.errors import BadInput

ADAPTERS = (
    "abdomenatlas", "amos22", "brats", "embedded", "folder", "m3d_seg", "msd", "sa_med2d", "totalsegmentator",
)  # fmt: skip
"""Modules of this folder; each is its own NAME."""


class Adapter(Protocol):
    NAME: str
    LICENCE: str

    def cases(self, root: Path) -> Iterator[Case]:
        """Every labelled study below root, without reading a pixel, always in one order; raises BadInput."""
        ...


def adapter(name: str) -> Adapter:
    """Raises BadInput for a set that nobody here knows."""
    if name not in ADAPTERS:
        raise BadInput(
            f"unknown source {name!r}",
            where=f"source: found {name!r}, wanted one of {', '.join(ADAPTERS)}",
            next="choose one of these; `folder` reads any set that is laid out as docs/sources.md says",
        )
    return cast(Adapter, import_module(f"components.data.sources.{name}"))
