import json
from pathlib import Path

import numpy as np
import pytest

from monitoring.drift import DriftConfig, check
from monitoring.rows import NUMERICAL, Row


def window(n: int, seed: int, **shift: float) -> list[Row]:
    """Rows of independent normal numbers, some shifted (in standard deviations)."""
    random = np.random.default_rng(seed)
    return [
        {name: float(random.normal(shift.get(name, 0))) for name in NUMERICAL} | {"letter": "ABCD"[random.integers(4)]}
        for _ in range(n)
    ]


REFERENCE = window(120, 0)


@pytest.mark.parametrize("seed", range(1, 9))
def test_windows_like_the_reference_stay_quiet(seed: int, tmp_path: Path) -> None:
    verdict = check(REFERENCE, window(120, seed), "steady", DriftConfig(), tmp_path)
    assert verdict.status == "STEADY", verdict.drifted


def test_a_shifted_number_raises_the_alarm_and_is_named(tmp_path: Path) -> None:
    current = window(120, 1, intensity_mean=1.0, mean_logprob=-0.8)
    verdict = check(REFERENCE, current, "shifted", DriftConfig(), tmp_path)
    assert verdict.status == "DRIFT"
    assert set(verdict.drifted) == {"intensity_mean", "mean_logprob"}


def test_letters_drift_too(tmp_path: Path) -> None:
    current = [row | {"letter": "A"} for row in window(120, 1)]
    assert check(REFERENCE, current, "shifted", DriftConfig(), tmp_path).drifted == ("letter",)


def test_too_few_rows_give_no_verdict_and_no_stale_report(tmp_path: Path) -> None:
    check(REFERENCE, window(120, 1), "w", DriftConfig(), tmp_path)
    verdict = check(REFERENCE, window(49, 1, intensity_mean=9), "w", DriftConfig(), tmp_path)
    assert verdict.status == "INSUFFICIENT"
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]


def test_a_value_that_never_varies_is_no_alarm(tmp_path: Path) -> None:
    before, after = ([row | {"valid_format": 1.0, "letter": "B"} for row in window(60, seed)] for seed in (1, 2))
    assert check(before, after, "w", DriftConfig(), tmp_path).status == "STEADY"


def test_the_report_is_one_page_that_fetches_nothing(tmp_path: Path) -> None:
    check(REFERENCE, window(120, 1), "steady", DriftConfig(), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert '<script src="http' not in page
    assert '<link rel="stylesheet" href="http' not in page
    told = json.loads((tmp_path / "verdict.json").read_text())
    assert (told["status"], told["rows"], told["reference_rows"]) == ("STEADY", 120, 120)


def test_alpha_is_shared_by_the_columns(tmp_path: Path) -> None:
    verdict = check(REFERENCE, window(120, 1), "steady", DriftConfig(alpha=0.15), tmp_path)
    assert verdict.threshold == pytest.approx(0.15 / len(verdict.columns))
