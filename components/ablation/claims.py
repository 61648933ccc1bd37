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
    "fine-tuning adds to that, not of the method from nothing."
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
    """Raises BadInput where a cell or a seed is missing, or where seeds or cells answered other data."""
    runs = {name: load(out / "cells" / name) for name in planned.cells}
    for name, found in runs.items():
        if missing := sorted(set(planned.seeds) - set(found.seeds)):
            where = f"{out}/cells/{name}: found no seed {missing[0]}, wanted {', '.join(map(str, planned.seeds))}"
            raise BadInput("a cell is not finished", where=where, next="make ablations")
    of_one_data(runs.values())
    return runs


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
    found = row.found.to_json()
    return {
        "claim": row.claim,
        "metric": row.metric,
        "dimension": row.dimension,
        "within": row.within,
        "difference": found["value"],
        "low": found["low"],
        "high": found["high"],
        "p": found["p"],
        "p_corrected": None if row.corrected is None else float(f"{row.corrected:.2g}"),
        "verdict": row.verdict,
        "seeds": row.found.seeds,
        "n": row.found.n,
        "cells": [row.better, row.than],
        "data": runs[row.better].data,
    }


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
