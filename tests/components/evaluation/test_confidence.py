"""The stage: what it measures, on one split and on another, and what it asks."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.evaluation import confidence
from components.evaluation.confidence import (
    Judged,
    calibration_error,
    measured,
    outranking,
    reliability,
    run,
    shown,
    spread,
)
from components.evaluation.confidence_config import ConfidenceConfig
from components.evaluation.intervals import resample
from model.interface.boxes import Box
from model.vlm.calibration import Asked, Calibration
from model.vlm.confidence import Pointed
from tests.components import world


def at(raw: float) -> Pointed:
    return Pointed(Box.of((0, 0, 1, 1)), raw, raw)


def test_what_is_measured() -> None:
    heads = resample([str(k) for k in range(12)], 200, 0)
    found = measured([0.9, 0.1, 0.8, 0.3] * 3, [True, False, True, False] * 3, heads)
    assert found["auroc"]["value"] == 1.0
    assert found["brier"]["value"] == pytest.approx((0.01 + 0.01 + 0.04 + 0.09) / 4, abs=1e-4)
    assert found["ece"]["value"] == pytest.approx((0.1 + 0.1 + 0.2 + 0.3) / 4)
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 12 for row in found.values())
    assert measured([0.5], [True], resample(["a"], 200, 0))["auroc"]["value"] is None
    assert reliability(np.array([0.0, 1.0, 0.95]), np.array([0.0, 1.0, 0.0])) == [(0, 0, 1), (0.975, 0.5, 2)]


def test_a_box_that_counts_twice_is_as_two() -> None:
    p, y = np.array([0.2, 0.7, 0.6, 0.2]), np.array([0.0, 1.0, 0.0, 1.0])
    counts = np.array([[2, 1, 0, 3]])
    twice = np.repeat(np.arange(4), counts[0])
    for metric in (calibration_error, outranking):
        assert metric(p, y, counts)[0] == pytest.approx(metric(p[twice], y[twice], np.ones((1, 6)))[0])
    assert outranking(np.array([0.5, 0.5, 0.9]), np.array([1.0, 0.0, 1.0]), np.ones((1, 3)))[0] == 0.75  # a tie is half
    assert outranking(p, np.ones(4), counts).tolist() == pytest.approx([np.nan], nan_ok=True)


def test_abstaining_shows_fewer_boxes_and_better_ones() -> None:
    kept = shown([0.9, 0.8, 0.2, 0.1], [True, True, False, True], 0.5, resample(list("abcd"), 200, 0))
    assert (kept["coverage"]["value"], kept["right"]["value"], kept["right_of_all"]["value"]) == (0.5, 1.0, 0.75)
    assert kept["right"]["n"] == 2


def test_questions_are_taken_at_even_distances() -> None:
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 9) == spread(3, None) == [0, 1, 2]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    world.data(folder / "data")
    world.checkpoint(folder / "c")
    return folder


def config(folder: Path, out: Path, **changes) -> ConfidenceConfig:
    told = {"fit": "reference", "judge": "test", "draws": 200, "samples": 2, "threads": 1, **changes}
    return ConfidenceConfig(data=folder / "data", checkpoint=folder / "c", out=out, **told)


def test_the_stage_fits_on_one_split_and_judges_another(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random model points at nothing: boxes are put in its place, right ones more surely than wrong ones."""
    splits = []

    def judged(checkpoint, exam, asked, config):
        splits.append(exam.questions[0].split)
        random = np.random.default_rng(len(splits))
        rows = random.uniform(0.05, 1, 300)
        return [Judged(at(float(r)), bool(random.uniform() < r**2), f"head {i % 30}") for i, r in enumerate(rows)]

    monkeypatch.setattr(confidence, "judge", judged)
    tree = run(config(small, tmp_path))
    assert splits == ["reference", "test"]
    assert tree == json.loads((tmp_path / "metrics.json").read_text())
    before, after = (tree["signals"]["raw"][way]["ece"] for way in ("uncalibrated", "calibrated"))
    assert after["high"] < before["low"]
    assert after["n"] == 300
    assert (tmp_path / "reliability.png").stat().st_size > 1000
    again = Calibration.load(tmp_path / "calibration.json")
    assert again.asked == Asked(tree["checkpoint"], again.asked.contract, 2, 1.0, 0)
    assert again.probability(at(0.05)) < again.probability(at(0.95))


def test_a_model_that_points_nowhere_leaves_an_empty_calibration(small: Path, tmp_path: Path) -> None:
    tree = run(config(small, tmp_path, questions=2))
    assert tree["boxes"]["fit"] == 0
    assert Calibration.load(tmp_path / "calibration.json").empty


def test_a_box_is_right_where_it_meets_the_rationales(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rationale's box, said by every answer: right, in full agreement, and each head named."""
    from model.vlm.sampling import dictated

    checkpoint = confidence.folders.load(small / "c")
    exam = confidence.read_exam(small / "data", "test", checkpoint)
    own = confidence.roll_out

    def pointing(checkpoint, pairs, sampling):
        from model.interface.grammar import write_box

        found = []
        for prepared, question in pairs:
            box = prepared.frame.to_model(question.rationale[0].box).within(prepared.frame.shape)
            words = f"<think>{write_box(box, flat=prepared.dimension == 2)}</think>A. Yes<|im_end|>"
            found += own(
                checkpoint, [(prepared, question)], sampling, choose=dictated([checkpoint.vocabulary.own(words)])
            )
        return found

    monkeypatch.setattr(confidence, "roll_out", pointing)
    asked = Asked(checkpoint.digest, checkpoint.contract.digest(), 2)
    rows = confidence.judge(checkpoint, exam, asked, config(small, small))
    assert len(rows) == len(exam.questions)
    assert all(row.right and row.pointed.agreement == 1.0 for row in rows)
    assert {row.group for row in rows} == set(exam.groups)
