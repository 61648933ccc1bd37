"""Calibration: monotone, right where truth is known, read back as it was written."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.vlm.calibration import Asked, Calibration
from model.vlm.confidence import Pointed

WHOM = Asked("c" * 64, "d" * 64)


def at(raw: float) -> Pointed:
    return Pointed(Box.of((0, 0, 1, 1)), raw, raw)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_a_calibration_rises_and_keeps_the_mean(rows: list[tuple[float, bool]]) -> None:
    raw, right = map(list, zip(*rows, strict=True))
    fit = Calibration.fitted("raw", raw, right, 0.5, WHOM)
    said = [fit.probability(at(r)) for r in sorted(raw)]
    assert all(0 <= a <= b + 1e-9 <= 1 + 1e-9 for a, b in zip(said, [*said[1:], 1.0], strict=True))
    assert np.mean([fit.probability(at(r)) for r in raw]) == pytest.approx(np.mean(right), abs=1e-6)


def test_calibration_mends_an_overconfident_signal() -> None:
    """Right with the square of what it says: seen on one half, mended on the other."""
    random = np.random.default_rng(0)
    raw = random.uniform(0, 1, 4000)
    right = random.uniform(0, 1, 4000) < raw**2
    fit = Calibration.fitted("raw", raw[:2000].tolist(), right[:2000].tolist(), 0.5, WHOM)
    after = np.array([fit.probability(at(r)) for r in raw[2000:]])
    assert np.abs(after - raw[2000:] ** 2).mean() < 0.05 < np.abs(raw - raw**2).mean()
    assert fit.abstains(at(0.4)) and not fit.abstains(at(0.9))


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    fit = Calibration.fitted("likelihood", [0.1, 0.5, 0.9], [False, True, True], 0.6, Asked("a", "b", 3, 0.7, 5))
    file.write_text(json.dumps(fit.to_json()))
    again = Calibration.load(file)
    assert again.asked == fit.asked
    assert (again.signal, again.threshold) == ("likelihood", 0.6)
    assert [again.probability(at(r)) for r in (0.0, 0.3, 0.7)] == [fit.probability(at(r)) for r in (0.0, 0.3, 0.7)]


def test_nothing_to_fit_on_is_an_empty_calibration(tmp_path: Path) -> None:
    empty = Calibration.fitted("raw", [], [], 0.5, WHOM)
    assert empty.empty
    with pytest.raises(ValueError, match="no boxes to fit on"):
        empty.abstains(at(0.5))


@pytest.mark.parametrize(
    "change",
    [{"knots": [0.9, 0.1]}, {"shares": [0.1, 2.0]}, {"knots": [0.5]}, {"signal": "luck"}, {"asked": {"who": 1}}],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, change: dict) -> None:
    row = Calibration.fitted("raw", [0.1, 0.9], [False, True], 0.5, WHOM).to_json() | change
    (tmp_path / "c.json").write_text(json.dumps(row))
    with pytest.raises(BadInput, match="this is no calibration"):
        Calibration.load(tmp_path / "c.json")
