"""The states of one run, in a folder: written whole or not at all, verified before they are read.

    step-0000060/            as `progress` writes it, and
      manifest.json          SHA-256 of every file, and the loop's figures

The last few are kept, and the best by a figure. A state that is torn or damaged is named and passed over for the one
before it. What a kill left half written is cleared away at the next writing.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from components.training import progress
from model.interface.errors import BadInput, Integrity
from model.interface.writing import sha256

MANIFEST = "manifest.json"
PART = ".part-"
Best = tuple[str, Literal["min", "max"]]


class States:
    def __init__(self, folder: Path, keep: int = 2, best: Best | None = None) -> None:
        self.folder, self.keep, self.best = folder, keep, best

    def write(self, fill: Callable[[Path], None], figures: Mapping[str, float]) -> Path:
        """fill: writes a state into a folder. Raises BadInput where the figure of the best isn't among the figures.

        Without any figures, as behind a step that trained nothing, it is kept and is never the best.
        """
        if self.best and figures and self.best[0] not in figures:
            where = f"best, found {self.best[0]}, wanted one of {', '.join(sorted(figures))}"
            raise BadInput("no state can be the best", where=where, next="name one of these, or leave best out")
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"{PART}*"):
            shutil.rmtree(left)
        part = self.folder / f"{PART}{os.getpid()}"
        part.mkdir()
        fill(part)
        files = {file.name: sha256(file) for file in sorted(part.iterdir())}
        (part / MANIFEST).write_text(json.dumps({"files": files, "figures": dict(figures)}))
        for path in [*part.iterdir(), part]:
            _flush(path)
        place = self.folder / f"step-{progress.step_of(part):07d}"
        if place.exists():  # it was damaged, or nobody would have come to this step again
            self._drop(place)
        part.replace(place)
        _flush(self.folder)
        self._let_go()
        return place

    def last(self, say: Callable[[str], None] = lambda _: None) -> Path | None:
        """The newest state that is whole. say: is told of every one that isn't."""
        for place in reversed(self._all()):
            try:
                verify(place)
            except Integrity as damaged:
                say(f"{damaged.what}: {damaged.where}; going on from the state before it")
                continue
            return place
        return None

    def chosen(self, say: Callable[[str], None] = lambda _: None) -> Path | None:
        """The state to publish: the best where one is asked for, else the last."""
        best = self._best()
        if best:
            verify(best)
        return best or self.last(say)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _best(self) -> Path | None:
        if self.best is None:
            return None
        name, way = self.best
        known = [(value, place) for place in self._all() if (value := _figures(place).get(name)) is not None]
        return (min if way == "min" else max)(known, default=(0.0, None))[1]

    def _let_go(self) -> None:
        best = self._best()
        for place in self._all()[: -self.keep]:
            if place != best:
                self._drop(place)

    def _drop(self, place: Path) -> None:
        """Out of the states first: one that is half removed is none."""
        gone = place.rename(place.with_name(f"{PART}{place.name}"))
        shutil.rmtree(gone)


def verify(place: Path) -> None:
    """Every file has the bytes that were written. Raises Integrity, which names the first that hasn't."""
    try:
        wanted: dict[str, str] = json.loads((place / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(place / MANIFEST, type(error).__name__, "a manifest") from error
    for name, digest in wanted.items():
        found = sha256(place / name) if (place / name).is_file() else "no file"
        if found != digest:
            raise _damaged(place / name, found[:12], digest[:12])


def _damaged(file: Path, found: str, wanted: str) -> Integrity:
    return Integrity(
        "a state is damaged",
        where=f"{file.parent.name}/{file.name}, SHA-256, found {found}, wanted {wanted}",
        safe="the states before it are kept",
        next="run the same command: it goes on from an earlier one",
    )


def _figures(place: Path) -> dict[str, float]:
    try:
        return json.loads((place / MANIFEST).read_text())["figures"]
    except (OSError, ValueError, KeyError):
        return {}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
