"""Slice against volume: geometry with known truth, then the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.evaluation.consistency import ConsistencyConfig, agreement, run, slice_of
from model.imaging.prepare import prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box
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


def test_the_command_asks_volumes_and_their_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.evaluation import consistency

    world.data(tmp_path / "data")
    world.checkpoint(tmp_path / "c")
    asked = []

    def pointing(checkpoint, pairs, sampling):
        asked.append(pairs)
        text = {2: "[8,8,16,20]", 3: "[8,8,0,16,20,2]"}
        from model.vlm.engine import roll_out
        from model.vlm.rollout import trace_of
        from model.vlm.sampling import dictated

        traces = []
        for prepared, question in pairs:
            words = f"<think><|box_start|>{text[prepared.dimension]}<|box_end|></think>A. Yes<|im_end|>"
            said = dictated([checkpoint.vocabulary.own(words)])
            traces += [
                trace_of(r, checkpoint) for r in roll_out(checkpoint, [(prepared, question)], sampling, choose=said)
            ]
        return traces

    monkeypatch.setattr(consistency, "answer", pointing)
    tree = run(ConsistencyConfig(data=tmp_path / "data", checkpoint=tmp_path / "c", out=tmp_path / "out"))
    assert tree == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {p.dimension for p, _ in asked[0]} == {3}
    assert {p.dimension for p, _ in asked[1]} == {q.dimension for _, q in asked[1]} == {2}
    assert tree["pointed"] == tree["volumes_asked"] == len(asked[0]) > 0
    assert tree["slice_volume_iou"]["value"] == pytest.approx(1.0)
    assert tree["same_answer"]["value"] == 1.0
