"""Runs by name, and the page that compares them."""

from pathlib import Path

from components import settings
from components.ablation.cells import RESULTS
from components.compare import evaluated, page, runs
from components.compare.differences import Compared, every
from components.compare.runs import Run
from components.evaluation.config import EvaluateConfig
from model.interface.errors import BadInput, Failure


def compared(names: list[str], out: Path, shown: int) -> list[Compared]:
    """Write the page of these runs, each further one against the first; what the table says.

    The leaderboard is of all runs that are at hand and answered the same data.
    """
    if len(names) < 2:
        where = f"runs: found {len(names)}, wanted two or more of {', '.join(known()) or 'none, for none are there'}"
        raise BadInput("nothing to compare", where=where, next="name two runs")
    chosen = [find(name) for name in names]
    rows = every(chosen)
    others = [run for name in known() if name not in names and (run := _at_hand(name)) and run.data == chosen[0].data]
    config = settings.load("evaluate", EvaluateConfig)
    page.write(out, " and ".join(names), rows, [*chosen, *others], data=config.data, shown=shown)
    return rows


def find(name: str) -> Run:
    """A cell of the ablations, a checkpoint of the evaluation, or a folder of seeds."""
    config = settings.load("evaluate", EvaluateConfig)
    if name in config.checkpoints:
        return evaluated.load(name, config)
    for folder in (RESULTS / "cells" / name, Path(name)):
        if folder.is_dir():
            return runs.load(folder)
    where = f"runs: found {name!r}, wanted one of {', '.join(known()) or 'none, for none are there'}, or a folder"
    raise BadInput("no such run", where=where, next="make ablations, or urm evaluate")


def known() -> list[str]:
    """Checkpoints that can be evaluated, then cells."""
    cells = RESULTS / "cells"
    there = sorted(path.name for path in cells.iterdir() if path.is_dir()) if cells.is_dir() else []
    return [*settings.load("evaluate", EvaluateConfig).checkpoints, *there]


def _at_hand(name: str) -> Run | None:
    try:
        return find(name)
    except Failure:
        return None
