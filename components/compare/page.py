"""One page of a comparison: who stands where, what differs and how surely, and the answers that changed.

Nothing is fetched and no script runs. Links lead to the pages of both traces, where they could be made.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.compare import differences, words
from components.compare.differences import Compared
from components.compare.forest import forest
from components.compare.items import Data, Item, items
from components.compare.runs import Run, by_name, of_one_data
from components.evaluation.paired import Difference
from components.serving.page import inline_hash
from components.serving.story import DISCLAIMER
from model.interface.contract import Contract
from model.interface.writing import write_text

HERE = Path(__file__).parent
BOARD = (("accuracy", "2d"), ("accuracy", "3d"), ("box_iou", "2d"), ("box_iou", "3d"), ("valid_format", "2d"),
         ("valid_format", "3d"))  # fmt: skip
"""Columns of the leaderboard."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A run on the leaderboard."""

    run: Run
    cells: tuple[Difference, ...]
    """Its values in the columns of `BOARD`."""

    @property
    def n(self) -> str:
        """Questions whose answer is known, 2D + 3D."""
        return " + ".join(str(cell.n) for cell in self.cells[:2])


@dataclass(frozen=True, slots=True)
class Pair:
    """Answers that changed between two runs."""

    better: str
    than: str
    counts: tuple[tuple[str, int, int], ...]
    """(dimension, gained, lost) of each that is compared."""
    items: tuple[Item, ...]


def leaderboard(runs: Iterable[Run]) -> list[Placed]:
    """The highest mean accuracy over images and volumes first."""
    placed = [Placed(run, tuple(differences.alone(run, *column) for column in BOARD)) for run in runs]
    return sorted(placed, key=lambda one: -sum(cell.value or 0.0 for cell in one.cells[:2]))


def write(
    out: Path,
    title: str,
    rows: Sequence[Compared],
    runs: Sequence[Run],
    *,
    data: Path | None = None,
    base: Path = Path("checkpoints/base"),
    shown: int = 8,
    note: str = "",
) -> Path:
    """Write the page and what it links to; returns it.

    rows: what is compared, `Compared.better` and `than` naming runs. shown: changed answers told of each pair.
    data: makes the trace pages; None of a page without. note: a sentence to be told with the table.
    Raises BadInput where runs answered other data, or where two are called alike.
    """
    of_one_data(runs)
    named = by_name(runs)
    contract = Contract.load(base) if (base / "contract.json").is_file() else None
    read = Data(data)
    pairs = []
    for k, (better, than) in enumerate(dict.fromkeys((row.better, row.than) for row in rows)):
        dimensions = sorted({row.dimension for row in rows if (row.better, row.than) == (better, than)})
        changed = differences.changed(named[better], named[than], dimensions)
        some = [*islice((c for c in changed if c.gained), shown), *islice((c for c in changed if not c.gained), shown)]
        told = items(named[better], named[than], some, read, contract, out, k)
        of = Counter((f"{one.dimension}d", one.gained) for one in changed)
        pairs.append(Pair(better, than, tuple((d, of[d, True], of[d, False]) for d in dimensions), tuple(told)))
    titles = {name: run.title for name, run in named.items()}
    _write(out, title=title, note=note, rows=rows, board=leaderboard(named.values()), pairs=pairs, titles=titles)
    return out


def _write(out: Path, **told: Any) -> None:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["metric"] = words.metric_words
    environment.globals["measured"] = words.measured
    environment.filters["interval"] = words.interval
    environment.filters["chance"] = words.chance
    style = (HERE / "compare.css").read_text(encoding="utf-8")
    plot = Markup(forest(told["rows"]))
    page = environment.get_template("compare.html").render(
        **told,
        columns=BOARD,
        amounts=words.AMOUNTS,
        one_seed=words.ONE_SEED,
        forest=plot,
        style=Markup(style),
        style_hash=inline_hash(style),
        disclaimer=DISCLAIMER,
    )
    write_text(out, page)
