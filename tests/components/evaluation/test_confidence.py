"""Calibration: monotone, right where truth is known, read back as it was written."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation import confidence
from components.evaluation.confidence import Calibration, ConfidenceConfig, Judged, measured, reliability, run, shown
from model.interface.boxes import Box
from model.vlm.confidence import Pointed
from tests.components import world


def at(raw: float) -> Pointed:
    return Pointed(Box.of((0, 0, 1, 1)), raw, raw)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_a_calibration_rises_and_keeps_the_mean(rows: list[tuple[float, bool]]) -> None:
    raw, right = map(list, zip(*rows, strict=True))
    fit = Calibration.fitted("raw", raw, right, 0.5)
    said = [fit.probability(at(r)) for r in sorted(raw)]
    assert all(0 <= a <= b + 1e-9 <= 1 + 1e-9 for a, b in zip(said, [*said[1:], 1.0], strict=True))
    assert np.mean([fit.probability(at(r)) for r in raw]) == pytest.approx(np.mean(right), abs=1e-6)


def test_calibration_mends_an_overconfident_signal() -> None:
    """Right with the square of what it says: seen on one half, mended on the other."""
    random = np.random.default_rng(0)
    raw = random.uniform(0, 1, 4000)
    right = random.uniform(0, 1, 4000) < raw**2
    fit = Calibration.fitted("raw", raw[:2000].tolist(), right[:2000].tolist(), 0.5)
    after = [fit.probability(at(r)) for r in raw[2000:]]
    before, mended = measured(raw[2000:].tolist(), right[2000:].tolist()), measured(after, right[2000:].tolist())
    assert before["ece"] > 0.1 > 0.05 > mended["ece"]
    assert mended["brier"] < before["brier"]
    kept = shown(after, right[2000:].tolist(), 0.5)
    assert kept["right"] > kept["right_of_all"]
    assert fit.abstains(at(0.4)) and not fit.abstains(at(0.9))


def test_what_is_measured() -> None:
    assert measured([0.9, 0.1], [True, False])["auroc"] == 1.0
    assert measured([0.1, 0.9], [True, False])["auroc"] == 0.0
    assert measured([0.5, 0.5], [True, False]) == {"brier": 0.25, "ece": 0.0, "auroc": 0.5, "n": 2}
    assert measured([], [])["n"] == 0
    assert measured([0.5], [True])["auroc"] is None
    assert reliability(np.array([0.0, 1.0, 0.95]), np.array([0.0, 1.0, 0.0])) == [(0, 0, 1), (0.975, 0.5, 2)]


def test_the_command_fits_on_one_split_and_judges_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model points at nothing: boxes are put in its place, right ones more surely than wrong ones."""
    world.data(tmp_path / "data")
    world.checkpoint(tmp_path / "c")
    splits = []

    def judged(checkpoint, exam, config):
        splits.append(exam.questions[0].split)
        random = np.random.default_rng(len(splits))
        return [Judged(at(float(r)), bool(random.uniform() < r)) for r in random.uniform(0.05, 1, 300)]

    monkeypatch.setattr(confidence, "judge", judged)
    config = ConfidenceConfig(
        data=tmp_path / "data", checkpoint=tmp_path / "c", fit="reference", judge="test", out=tmp_path / "out"
    )
    tree = run(config)
    assert splits == ["reference", "test"]
    assert tree == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert tree["signals"]["raw"]["calibrated"]["ece"] < 0.15
    assert (tmp_path / "out" / "reliability.png").stat().st_size > 1000
    again = Calibration.load(tmp_path / "out" / "calibration.json")
    assert again.probability(at(0.05)) < again.probability(at(0.95))


def test_judging_asks_and_counts_only_what_the_rationale_knows(tmp_path: Path) -> None:
    world.data(tmp_path / "data")
    checkpoint = confidence.folders.load(world.checkpoint(tmp_path / "c"))
    exam = confidence.read_exam(tmp_path / "data", "test", checkpoint)
    config = ConfidenceConfig(samples=2, questions=2)
    assert all(isinstance(one, Judged) for one in confidence.judge(checkpoint, exam, config))
