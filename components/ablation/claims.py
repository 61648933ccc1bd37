"""The last stage of the ablations: what the cells say to each claim, with intervals, on one page.

    python -m components.ablation.claims

Reads the committed answers of the cells alone, neither data nor checkpoints; writes cells.json (a row a cell and seed),
claims.json (a row a claim), table.md and index.html. A claim whose interval holds zero is told as it is.
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
from components.compare.runs import Run, load
from model.interface.errors import BadInput, Failure
from model.interface.writing import write_text

TITLE = "What each part is worth"


def run(planned: Plan | None = None, out: Path = RESULTS) -> list[Compared]:
    """Raises BadInput where a cell or a seed is missing, or where cells answered other data."""
    planned = planned or plan()
    runs = {name: load(out / "cells" / name) for name in planned.cells}
    for name, found in runs.items():
        if missing := sorted(set(planned.seeds) - set(found.seeds)):
            where = f"{out}/cells/{name}: found no seed {missing[0]}, wanted {', '.join(map(str, planned.seeds))}"
            raise BadInput("a cell is not finished", where=where, next="make ablations")
    rows = corrected(
        [compare(runs[c.better], runs[c.than], c.metric, c.dimension, claim=c.claim) for c in planned.claims]
    )
    write_text(out / "cells.json", json.dumps(cells(planned, out), indent=1) + "\n")
    write_text(out / "claims.json", json.dumps([told(row, runs) for row in rows], indent=1) + "\n")
    write_text(out / "table.md", table(rows))
    page.write(out / "index.html", TITLE, rows, list(runs.values()), linked=False)
    return rows


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
            f"{words.metric_words(row.metric)}, {row.dimension.upper()}",
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
