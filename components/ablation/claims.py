"""The last stage of the ablations: what the cells say to each claim, with intervals, on one page.

    python -m components.ablation.claims

Reads the committed answers of the cells alone, neither data nor checkpoints; writes cells.json (a row a cell and seed),
claims.json (a row a claim), table.md and index.html. A claim whose interval holds zero is told as it is; one of
keeping something says what loss it allows.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components import environment
from components.ablation.cells import RESULTS, Plan, plan
from components.compare import page, words
from components.compare.differences import Compared, compare, corrected
from components.compare.runs import Run, load, of_one_data
from model.interface.errors import BadInput, Failure
from model.interface.writing import write_text

TITLE = "What each part is worth"
BASED = (
    "All cells go on from one base that was itself taught 2D and 3D, pointing and crops: a claim is of what the last "
    "fine-tuning adds to that, not of the method from nothing. RL asks about heads that its forerunner was not taught "
    "by, as the paper's RL has rows of its own: what it gains is of learning from outcomes and of those heads."
)


def run(planned: Plan | None = None, out: Path = RESULTS) -> list[Compared]:
    """Raises BadInput, before anything is written, as `read` does."""
    planned = planned or plan()
    runs = read(planned, out)
    rows = compared(planned, runs)
    write_text(out / "cells.json", json.dumps(cells(planned, out), indent=1) + "\n")
    write_text(out / "claims.json", json.dumps([told(row, runs) for row in rows], indent=1) + "\n")
    write_text(out / "table.md", f"{BASED}\n\n{table(rows)}")
    page.write(out / "index.html", TITLE, rows, list(runs.values()), note=BASED)
    return rows


def linked(file: Path, data: Path, planned: Plan | None = None, out: Path = RESULTS) -> Path:
    """The page once more, with both traces of each answer it tells of; it is not a stage's, which has no data."""
    planned = planned or plan()
    runs = read(planned, out)
    return page.write(file, TITLE, compared(planned, runs), list(runs.values()), data=data, note=BASED)


def read(planned: Plan, out: Path) -> dict[str, Run]:
    """Raises BadInput where a cell or a seed is missing, was trained otherwise than is planned or from another base, or
    where seeds or cells answered other questions."""
    runs = {name: _planned(planned, name, out / "cells" / name) for name in planned.cells}
    of_one_data(runs.values())
    first, *others = runs.values()
    for run in others:
        for field, found, wanted in (
            ("digests.base", _base(run), _base(first)),
            ("questions", _asked(run), _asked(first)),
        ):
            if found != wanted:
                where = f"{out}/cells/{run.name}, {field}: found others than {first.name} has"
                raise BadInput(
                    "cells can't be compared", where=where, next=f"run cell {run.name} again: make ablations"
                )
    return runs


def _planned(planned: Plan, name: str, folder: Path) -> Run:
    if missing := sorted(seed for seed in planned.seeds if not (folder / f"{seed}.json").exists()):
        where = f"{folder}: found no seed {missing[0]}, wanted {', '.join(map(str, planned.seeds))}"
        raise BadInput("a cell is not finished", where=where, next="make ablations")
    run = load(folder, planned.seeds)
    told, (settings, training) = run.told[planned.seeds[0]], planned.told(name)  # all seeds tell the same
    for field, found, wanted in (
        ("settings", told["settings"], settings),
        ("training", told.get("training"), training),
    ):
        if found != wanted:
            where = f"{folder}, {field}: found {found}, wanted {wanted}"
            raise BadInput("a cell was trained otherwise than is planned", where=where, next="make ablations")
    return run


def _base(run: Run) -> str:
    return next(iter(run.told.values()))["digests"].get("base", "")


def _asked(run: Run) -> set[str]:
    return set(next(iter(run.seeds.values())))


def compared(planned: Plan, runs: dict[str, Run]) -> list[Compared]:
    """A row a claim, all corrected together."""
    return corrected(
        [
            compare(runs[c.better], runs[c.than], c.metric, c.dimension, claim=c.claim, within=c.within)
            for c in planned.claims
        ]
    )


def cells(planned: Plan, out: Path) -> list[dict[str, Any]]:
    """A row a cell and seed: what it is and its headline numbers, each with interval and n."""
    files = [out / "cells" / name / f"{seed}.json" for name in planned.cells for seed in planned.seeds]
    return [json.loads(file.read_text()) for file in files]


def told(row: Compared, runs: dict[str, Run]) -> dict[str, Any]:
    found = row.found
    return {
        "claim": row.claim,
        "metric": row.metric,
        "dimension": row.dimension,
        "within": row.within,
        "difference": _rounded(found.value),
        "low": _rounded(found.low),
        "high": _rounded(found.high),
        "p": None if found.p is None else float(f"{found.p:.2g}"),
        "p_corrected": None if row.corrected is None else float(f"{row.corrected:.2g}"),
        "verdict": row.verdict,
        "seeds": found.seeds,
        "n": found.n,
        "cells": [row.better, row.than],
        "data": runs[row.better].data,
    }


def _rounded(value: float | None) -> float | None:
    """To more places than any table tells, so that none is rounded twice to be wrong."""
    return None if value is None else round(value, 6)


def table(rows: Sequence[Compared]) -> str:
    """Markdown, a row a claim."""
    lines = [["claim", "in", "difference", "p, corrected", "seeds", "n", ""]]
    lines += [
        [
            row.claim,
            words.measured(row.metric, row.dimension, row.within),
            words.interval(row.found, with_sign=True),
            words.chance(row.corrected),
            str(row.found.seeds),
            str(row.found.n),
            row.verdict,
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(map(str.ljust, line, widths))} |\n" for line in lines)


if __name__ == "__main__":
    environment.settle()
    try:
        run()
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        sys.exit(failure.exit_code)
