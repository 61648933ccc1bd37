"""How sure an answer is of its boxes, from the question to the words and the JSON."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.serving.asked import Asked
from components.serving.grounding import Grounding, Sure, answers, read_calibration
from model.imaging.prepare import prepare
from model.imaging.volume import Volume
from model.vlm import checkpoint as folders
from model.vlm import engine as engines
from model.vlm.calibration import FILE, Calibration
from model.vlm.calibration import Asked as Whom
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Engine
from model.vlm.sampling import dictated
from tests.components import world
from tests.components.serving.told import CONTRACT, blob, question, study, trace

BOX, HALF = "<|box_start|>[8,8,0,16,20,2]<|box_end|>", "<|box_start|>[8,8,0,16,14,2]<|box_end|>"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return folders.load(world.checkpoint(tmp_path_factory.mktemp("grounding") / "c"))


def calibration(checkpoint: Checkpoint, threshold: float) -> Calibration:
    """Agreement is taken for probability."""
    whom = Whom(checkpoint.digest, checkpoint.contract.digest(), samples=2)
    return Calibration("agreement", np.array([0.0, 1.0]), np.array([0.0, 1.0]), threshold, whom)


@pytest.fixture
def said(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    """The answer points at a box; of two samples one points at it too and the other at its half."""
    draw = {0: BOX, 1: HALF}

    def told(scores, rollouts, sampling):
        boxes = [draw[r.row] if sampling.temperature else BOX for r in rollouts]
        ids = [checkpoint.vocabulary.own(f"<think>{box}</think>A. Yes<|im_end|>") for box in boxes]
        return dictated({r.row: i for r, i in zip(rollouts, ids, strict=True)})(scores, rollouts)  # pyright: ignore

    monkeypatch.setattr(engines, "draw", told)


def asked_of(checkpoint: Checkpoint, calibrated: Calibration | None) -> Grounding:
    voxels = np.random.default_rng(0).uniform(0, 99, (16, 16, 6)).astype(np.float32)
    prepared = prepare(Volume(voxels, np.diag([2.0, 2.0, 4.0, 1.0]), "MR", True, "axial"), checkpoint.contract)
    [(_, grounding)] = answers(Engine(checkpoint), prepared, [question()], calibrated)
    return grounding


@pytest.mark.usefixtures("said")
def test_the_confidence_is_the_calibrated_agreement(checkpoint: Checkpoint) -> None:
    sure = asked_of(checkpoint, calibration(checkpoint, 0.5))
    [box] = sure.boxes
    assert box.agreement == box.confidence == sure.confidence == pytest.approx(0.75)
    assert not box.abstains
    assert asked_of(checkpoint, calibration(checkpoint, 0.8)).boxes[0].abstains


@pytest.mark.usefixtures("said")
def test_without_a_calibration_of_its_own_it_says_why(checkpoint: Checkpoint) -> None:
    own = calibration(checkpoint, 0.5)
    others = {
        "not calibrated": None,
        "another checkpoint": replace(own, asked=replace(own.asked, checkpoint="other")),
        "--override": replace(own, asked=replace(own.asked, contract="other")),
        "no box": replace(own, knots=np.zeros(0), shares=np.zeros(0)),
    }
    for words, calibrated in others.items():
        sure = asked_of(checkpoint, calibrated)
        assert words in sure.why_not
        assert sure.confidence is None
        assert 0 < sure.boxes[0].likelihood <= 1
        assert not sure.boxes[0].abstains


def test_an_unsure_place_is_withheld_in_words_and_kept_in_json() -> None:
    prepared = study()
    answer = trace(prepared, ("At ", blob(prepared)))
    for abstains, words in ((False, ", confidence 0.31"), (True, "not shown, it is too unsure of the place")):
        sure = Grounding((Sure(0, 0.9, 0.4, 0.31, abstains),), 0.5)
        asked = Asked(question(), answer, prepared, CONTRACT, grounding=sure)
        line = next(line for line in asked.lines() if line.startswith("evidence"))
        assert words in line
        assert ("[" in line) == (not abstains)
        told = json.loads(json.dumps(asked.to_json()))
        assert told["trace"]["steps"][0]["box"]
        assert told["grounding"]["confidence"] == 0.31
        assert told["grounding"]["abstains"] == abstains
        assert Grounding.from_json(told["grounding"]) == sure


def test_an_uncalibrated_answer_shows_its_boxes_and_says_that_nobody_knows() -> None:
    prepared = study()
    sure = Grounding((Sure(0, 0.9, None, None, False),), None, "not calibrated")
    lines = Asked(question(), trace(prepared, ("At ", blob(prepared))), prepared, CONTRACT, grounding=sure).lines()
    assert any(line.startswith("evidence: [") for line in lines)
    assert "confidence in places: unknown, not calibrated" in lines


def test_a_calibration_is_read_where_there_is_one(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert read_calibration(None) is read_calibration(tmp_path / FILE) is None
    (tmp_path / FILE).write_text(json.dumps(calibration(checkpoint, 0.7).to_json()))
    found = read_calibration(tmp_path / FILE)
    assert found is not None and found.threshold == 0.7
