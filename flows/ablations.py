"""The ablations: every cell that is out of date, two side by side; then what they say, on one page and in MLflow.

    python -m flows.ablations

DVC knows what is up to date. Cells are stages with one thread each; those that go on from another wait for it.
Killed, the same command goes on: what is done is done, and a training goes on from its last state.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from components import environment, settings, tracking
from components.ablation import cells, claims
from components.ablation.cell import KEPT
from components.compare.items import Data, pictures
from components.compare.runs import load
from components.evaluation.config import EvaluateConfig
from flows import stages
from model.imaging import shards
from model.interface.errors import Failure

FILE = "components/ablation/dvc.yaml"
LANES = 2
EXPERIMENT = "ablations"
TRACED = Path("traces/ablations.html")
"""Beside the page of `urm compare`, and like it not in git: the stage's own page has no data to make traces of."""


def run(lanes: int = LANES) -> Iterator[str]:
    """Lines to print."""
    waiting = [name.removeprefix(f"{FILE}:") for name in stages.changed(FILE)]
    planned = cells.plan()
    with ThreadPoolExecutor(lanes) as pool:
        begun: dict[str, Future[stages.Outcome]] = {}
        for seed in planned.seeds:  # all cells of a seed before the next: what was stopped can be read
            mine = [name for name in waiting if name.endswith(f"-{seed}") and "@" in name]
            forerunners = [f"sft@{cell.after}-{seed}" for cell in planned.cells.values() if cell.after]
            for name in sorted(mine, key=lambda name: name.startswith("rl@")):
                waits_for = [begun[f] for f in forerunners if f in begun] if name.startswith("rl@") else []
                begun[name] = pool.submit(_reproduced, name, waits_for)
        for name, outcome in begun.items():
            yield f"{name}: {outcome.result()}"
    yield f"claims: {stages.reproduce(f'{FILE}:claims')}"
    shutil.rmtree(KEPT, ignore_errors=True)
    yield f"runs in MLflow: {record()}"
    yield (cells.RESULTS / "table.md").read_text()
    yield f"page: {(cells.RESULTS / 'index.html').resolve()}"
    data = settings.load("evaluate", EvaluateConfig).data
    if (data / shards.MANIFEST).is_file():
        yield f"page with traces: {claims.linked(TRACED, data).resolve()}"


def _reproduced(name: str, forerunners: Sequence[Future[stages.Outcome]]) -> stages.Outcome:
    """Lanes take cells in the order they were given, so a forerunner has begun and nobody waits for ever.

    All forerunners of the seed, its own or not: they are dependencies of the one stage that DVC makes all cells of RL
    from."""
    for forerunner in forerunners:
        forerunner.result()
    return stages.reproduce(f"{FILE}:{name}")


def record(results: Path = cells.RESULTS) -> int:
    """A parent run of the whole and a child a cell and seed, by name; how many children. Again: nothing changes."""
    rows = json.loads((results / "cells.json").read_text())
    judged = json.loads((results / "claims.json").read_text())
    data, commit = rows[0]["digests"]["data"], tracking.commit()
    used = tracking.DataUsed("embedded anatomy", data[:36], json.dumps({"manifest.json": data}))
    parent = tracking.log_evaluation(
        EXPERIMENT,
        key=tracking.key_of(rows, judged),
        name=f"all cells, data {data[:8]}",
        metrics={
            f"{c['claim']}/{c['metric']}/{c['dimension']}": c["difference"]
            for c in judged
            if c["difference"] is not None
        },
        tags={"git": commit},
        files=[results / name for name in ("claims.json", "cells.json", "table.md", "index.html")],
        data=used,
    )
    read = Data(settings.load("evaluate", EvaluateConfig).data)
    for row in rows:
        place = results / "cells" / row["cell"] / f"{row['seed']}"
        tracking.log_evaluation(
            EXPERIMENT,
            key=tracking.key_of(row),
            name=f"{row['cell']}, seed {row['seed']}",
            parent=parent,
            params={"cell": row["cell"], "seed": row["seed"], **row["settings"], **_lengths(row), **row["digests"]},
            metrics={
                f"{dimension}/{metric}": found["value"]
                for dimension, metrics in row["test"].items()
                for metric, found in metrics.items()
                if found["value"] is not None
            },
            tags={"git": commit, "title": row["title"]},
            files=[place.with_suffix(".json"), place.with_suffix(".jsonl.gz")],
            pictures=pictures(load(place.parent), row["seed"], read),
            data=used,
        )
    return len(rows)


def _lengths(row: dict[str, Any]) -> dict[str, Any]:
    """How long the cell was trained, flat."""
    rl = row["training"].get("rl", {})
    return {key: value for key, value in row["training"].items() if key != "rl"} | {f"rl_{k}": v for k, v in rl.items()}


if __name__ == "__main__":
    environment.home()
    try:
        for line in run():
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        sys.exit(failure.exit_code)
