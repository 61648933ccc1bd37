"""The tables of README.md, rendered from the files that stages publish. Never typed.

python -m components.readme            write them between their markers
python -m components.readme --check    fail when what stands there is not what the files say
"""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from components.compare import words
from components.stage import command
from model.interface.errors import BadInput, Failure
from model.interface.writing import write_text

COLUMNS = {
    "unseen donor, 2D": ("test", "2d"),
    "unseen donor, 3D": ("test", "3d"),
    "contrast never trained (DWI), 2D": ("shifted", "2d"),
    "real T1, 2D": ("real", "2d"),
    "real T1, 3D": ("real", "3d"),
}
"""Titles, and the split and dimension behind each."""
ROWS = {
    "accuracy": "accuracy",
    "… guessing the usual answer": "baseline_majority",
    "… the same checkpoint on a blank picture": "baseline_blank",
    "… of what only a crop shows": "fine_accuracy",
    "IoU of localisation boxes": "localisation_iou",
    "IoU of lesion boxes, any family": "lesion_iou",
    "IoU of all boxes": "box_iou",
    "z-range overlap": "z_overlap",
    "centre error, mm": "centre_error_mm",
    "valid format": "valid_format",
    "crops an answer": "crops",
}
"""Titles, and the metric behind each."""
NOTHING = "Not measured yet.\n"


class ReadmeConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    readme: Path = Path("README.md")
    results: Path = Path("results")


def run(config: ReadmeConfig, *, check: bool = False) -> None:
    """Bring the page up to date, or raise Failure where it isn't."""
    page = config.readme.read_text()
    tables = {"results": results_table, "ablations": ablations_table, "bench": bench_table}
    wanted = filled(page, {name: table(config.results) for name, table in tables.items()})
    if wanted == page:
        return
    if check:
        raise Failure(
            f"the tables of {config.readme.name} are not what {config.results.name}/ says",
            where=str(config.readme),
            next="python -m components.readme",
        )
    write_text(config.readme, wanted)


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between `<!-- name -->` and `<!-- /name -->`. Raises BadInput without the markers."""
    for name, table in tables.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, opened, rest = page.partition(opening)
        _, closed, after = rest.partition(closing)
        if not (opened and closed):
            raise BadInput(
                f"no place for the table '{name}'",
                where=f"README, markers {opening.strip()} and {closing.strip()}",
                next="put the two markers back, each on a line of its own",
            )
        page = f"{before}{opening}{table}{closing}{after}"
    return page


def results_table(results: Path) -> str:
    """How good the checkpoint trained last is, and what the last training changed."""
    file = results / "evaluate" / "metrics.json"
    if not file.exists():
        return NOTHING
    tree = json.loads(file.read_text())
    name = [key for key in tree if key not in ("digests", "difference")][-1]
    columns = {
        title: tree[name][split][dimension]
        for title, (split, dimension) in COLUMNS.items()
        if dimension in tree[name].get(split, {})
    }
    rows = [[title, *(_cell(metrics.get(metric)) for metrics in columns.values())] for title, metric in ROWS.items()]
    for pair, found in tree.get("difference", {}).items():
        gained = [found.get(split, {}).get(dimension, {}).get("accuracy") for split, dimension in _places(columns)]
        rows.append([f"accuracy, {pair}", *(_cell(interval, signed=True) for interval in gained)])
    rows.append(["questions", *(str(metrics["accuracy"]["n"]) for metrics in columns.values())])
    made_from = f"Checkpoint `{name}` {tree['digests']['checkpoints'][name][:12]}, data {tree['digests']['data'][:12]}."
    return _markdown(["", *columns], rows) + f"\n{made_from} In brackets 95 % intervals, by bootstrap over heads.\n"


def ablations_table(results: Path) -> str:
    """A row a claim and metric, with what either dimension says to it."""
    file = results / "ablation" / "claims.json"
    if not file.exists():
        return NOTHING
    claims = json.loads(file.read_text())
    if not claims:
        return NOTHING
    rows: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
    for claim in claims:
        measured = words.metric_words(claim["metric"]) + (f", within {claim['within']}" if claim["within"] else "")
        found = "–"
        if claim["low"] is not None:
            difference, low, high = (words.signed(claim[key]) for key in ("difference", "low", "high"))
            found = f"{difference} [{low}, {high}]" + (
                "" if claim["verdict"] == "unsure" else f" **{claim['verdict']}**"
            )
        rows.setdefault((claim["claim"], measured), {})[claim["dimension"]] = found, str(claim["n"])
    none = "–", "–"
    lines = [[*asked, *found.get("2d", none), *found.get("3d", none)] for asked, found in rows.items()]
    seeds = " or ".join(str(number) for number in sorted({claim["seeds"] for claim in claims}))
    return _markdown(["claim", "of", "2D", "n", "3D", "n"], lines) + (
        f"\nDifferences of {seeds} seeds each, data {claims[0]['data'][:12]}. In brackets 95 % intervals over heads "
        f"and seeds; in bold what holds after Holm's correction over all {len(claims)}.\n"
    )


def bench_table(results: Path) -> str:
    """A row a figure."""
    figures = [json.loads(file.read_text()) for file in sorted((results / "bench").glob("*.json"))]
    if not figures:
        return NOTHING
    rows = [
        [
            f"`{figure['figure']}`",
            f"{figure['ratio']:.1f} ×",
            f"{figure['ours']['seconds']:.2f} / {figure['peer']['seconds']:.2f}",
            f"{figure['equal']['max_abs_diff']:.0e}" if figure["equal"].get("tolerance", 0) is not None else "–",
            figure["peer_is"],
        ]
        for figure in figures
    ]
    titles = ["figure", "faster", "CPU seconds, ours / peer", "largest difference", "the peer is"]
    machines = "; ".join(dict.fromkeys(figure["machine"] for figure in figures))
    return _markdown(titles, rows) + f"\n{machines}.\n"


def _places(columns: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [COLUMNS[title] for title in columns]


def _cell(interval: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if not interval or interval["value"] is None:
        return "–"
    form = "{:+.2f}" if signed else "{:.2f}"
    value = form.format(interval["value"])
    if interval["low"] is None:
        return value
    return f"{value} [{form.format(interval['low'])}, {form.format(interval['high'])}]"


def _markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(command("readme", ReadmeConfig, partial(run, check="--check" in sys.argv[1:])))
