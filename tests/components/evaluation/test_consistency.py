"""Slice against volume: geometry with known truth, then the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.evaluation import consistency, traces
from components.evaluation.consistency import agreement, run, slice_of
from components.evaluation.consistency_config import ConsistencyConfig
from components.evaluation.run import Exam, read_exam
from model.imaging.prepare import prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.errors import Integrity
from model.interface.trace import Trace
from model.vlm import checkpoint as folders
from model.vlm.engine import roll_out
from model.vlm.rollout import trace_of
from model.vlm.sampling import Sampling, dictated
from tests.components import world


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_slice_keeps_its_place_and_its_boxes(plane: str) -> None:
    """The voxels, their mm and a box drawn on both agree, along any plane and with odd spacings."""
    contract = world.CONTRACT.model_copy(update={"plane": plane, "slices": 4})
    voxels = np.random.default_rng(0).uniform(0, 100, (16, 20, 12)).astype(np.float32)
    volume = Volume(voxels, np.diag([2.0, 1.0, 3.0, 1.0]), "MR", True, plane)
    prepared = prepare(volume, contract)
    target = Box.of((4, 5, 4, 9, 11, 9))
    cuboid = prepared.frame.to_model(target)
    cut = slice_of(prepared, cuboid)
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    assert cut.shape[axis] == 1
    k = round((cut.affine[axis, 3] - volume.affine[axis, 3]) / volume.affine[axis, axis])
    assert target.low[axis] <= k < target.high[axis]
    assert np.array_equal(cut.voxels, np.take(voxels, [k], axis))
    flat = prepare(cut, contract)
    numbers = [list(target.low), list(target.high)]
    numbers[0][axis], numbers[1][axis] = 0, 1
    on_slice = flat.frame.to_model(Box.of((*numbers[0], *numbers[1])))
    assert agreement(prepared.frame, cuboid, flat.frame, on_slice) > 0.75
    away = Box.of((0, 0, 0, 2, 2, 1))
    assert agreement(prepared.frame, cuboid, flat.frame, away) < 0.2


TEXT = {2: "[8,8,16,20]", 3: "[8,8,0,16,20,2]"}


def pointing(checkpoint, pairs, _) -> list[Trace]:
    """Answers that all point at the same place."""
    found = []
    for prepared, question in pairs:
        words = f"<think><|box_start|>{TEXT[prepared.dimension]}<|box_end|></think>A. Yes<|im_end|>"
        said = dictated([checkpoint.vocabulary.own(words)])
        [rollout] = roll_out(checkpoint, [(prepared, question)], Sampling(), choose=said)
        found.append(trace_of(rollout, checkpoint))
    return found


@pytest.fixture
def config(tmp_path: Path) -> ConsistencyConfig:
    """A small world, and the evaluation's answers about it."""
    world.data(tmp_path / "data")
    checkpoint = folders.load(world.checkpoint(tmp_path / "c"))
    exam = read_exam(tmp_path / "data", "test", checkpoint)
    given = pointing(checkpoint, zip(exam.prepared, exam.questions, strict=True), None)
    rows = [traces.Answered(name, "test", False, True, t) for name in ("sft", "rl") for t in given]
    blank = [replace(row, blank=True, trace=replace(row.trace, steps=())) for row in rows]
    traces.write(tmp_path / "traces.jsonl.gz", [*rows, *blank])
    return ConsistencyConfig(
        data=tmp_path / "data",
        checkpoint=tmp_path / "c",
        traces=tmp_path / "traces.jsonl.gz",
        draws=200,
        out=tmp_path / "out",
    )


def test_the_stage_reads_about_volumes_and_asks_about_their_slices(
    config: ConsistencyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(checkpoint, pairs, sampling) -> list[Trace]:
        asked.extend(pairs)
        return pointing(checkpoint, pairs, sampling)

    monkeypatch.setattr(consistency, "answer", counted)
    tree = run(config)
    assert tree == json.loads((config.out / "metrics.json").read_text())
    assert {p.dimension for p, _ in asked} == {q.dimension for _, q in asked} == {2}
    assert tree["pointed"] == tree["volumes_asked"] == len(asked) == 6
    assert tree["slice_volume_iou"] == {"value": 1.0, "low": None, "high": None, "n": 6}  # of few heads
    assert tree["same_answer"]["value"] == 1.0


def test_questions_whose_words_hold_boxes_are_left_out(
    config: ConsistencyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = consistency.read_exam

    def with_regions(*told) -> Exam:
        exam = own(*told)
        first = next(k for k, q in enumerate(exam.questions) if q.dimension == 3)
        exam.questions[first] = replace(exam.questions[first], regions=(Box.of((1, 1, 1, 4, 4, 4)),))
        return exam

    monkeypatch.setattr(consistency, "read_exam", with_regions)
    monkeypatch.setattr(consistency, "answer", pointing)
    tree = run(config)
    assert (tree["volumes_asked"], tree["pointed"]) == (5, 5)


def test_answers_of_another_checkpoint_are_refused(config: ConsistencyConfig, tmp_path: Path) -> None:
    world.checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(Integrity, match="another checkpoint's"):
        run(config.model_copy(update={"checkpoint": tmp_path / "other"}))
