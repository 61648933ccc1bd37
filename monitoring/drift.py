"""Is the world still what the checkpoint was trained on? Evidently's tests, with our thresholds.

Left alone, Evidently changes method with the size of the reference and calls nine of ten steady windows
drifted (measured: reference 1,001 rows, window 100, ten columns). So method and threshold are always said:
Kolmogorov-Smirnov, and the chance of any false alarm shared by the columns (Bonferroni).
Too few rows give no verdict instead of a guess.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from model.interface.writing import replacing, write_text
from monitoring.rows import CATEGORICAL, NUMERICAL, Row

HTML, JSON, VERDICT = "report.html", "report.json", "verdict.json"

Status = Literal["STEADY", "DRIFT", "INSUFFICIENT"]


class DriftConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Chance that a window like the reference is called drifted, all columns together."""
    enough: int = Field(default=50, ge=2)
    """Fewest rows, of reference and of window, that a verdict is given on."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    method: str
    p: float
    """Chance of a difference this large without drift."""
    drifted: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    status: Status
    window: str
    reference_rows: int
    rows: int
    threshold: float
    """p below which a column has drifted."""
    columns: tuple[Column, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns that did, surest first."""
        return tuple(c.name for c in sorted(self.columns, key=lambda c: c.p) if c.drifted)


def check(reference: Sequence[Row], current: Sequence[Row], window: str, config: DriftConfig, out: Path) -> Verdict:
    """Compare a window with the reference; write report.html, report.json and verdict.json to `out`.

    reference, current: one row a study.
    """
    out.mkdir(parents=True, exist_ok=True)
    for stale in (HTML, JSON, VERDICT):
        (out / stale).unlink(missing_ok=True)
    threshold = config.alpha / (len(NUMERICAL) + len(CATEGORICAL))
    if min(len(reference), len(current)) < config.enough:
        verdict = Verdict("INSUFFICIENT", window, len(reference), len(current), threshold, ())
    else:
        columns = _test(reference, current, window, threshold, out)
        status: Status = "DRIFT" if any(column.drifted for column in columns) else "STEADY"
        verdict = Verdict(status, window, len(reference), len(current), threshold, columns)
    write_text(out / VERDICT, json.dumps(asdict(verdict), indent=1) + "\n")
    return verdict


def _test(
    reference: Sequence[Row], current: Sequence[Row], window: str, threshold: float, out: Path
) -> tuple[Column, ...]:
    """One test a column, and Evidently's report of them."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    methods = dict.fromkeys((*NUMERICAL, *CATEGORICAL), "ks")
    definition = DataDefinition(numerical_columns=list(methods))
    before, after = (
        Dataset.from_pandas(pd.DataFrame([_in_order(row) for row in rows]), data_definition=definition)
        for rows in (reference, current)
    )
    tests: list[Any] = [ValueDrift(column=name, method=methods[name], threshold=threshold) for name in methods]
    snapshot = Report(tests, metadata={"window": window}).run(after, before)
    for name, save in ((HTML, snapshot.save_html), (JSON, snapshot.save_json)):
        with replacing(out / name) as part:
            save(str(part))
    found = {metric["config"]["column"]: _known(float(metric["value"])) for metric in snapshot.dict()["metrics"]}
    return tuple(Column(name, methods[name], round(found[name], 6), found[name] < threshold) for name in methods)


def _in_order(row: Row) -> Row:
    """Letters as their places in the alphabet, 0 for none.

    Evidently's chi-square takes the reference's shares as exact, which doubles the statistic of a window
    as large as the reference; Kolmogorov-Smirnov compares two samples, and is cautious about ties.
    """
    return row | {name: 0.0 if row[name] == "none" else float(ord(str(row[name])) - 64) for name in CATEGORICAL}


def _known(p: float) -> float:
    """A column with one value in both windows has no p: nothing differs."""
    return 1.0 if isnan(p) else p
