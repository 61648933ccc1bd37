"""The figure of learning on a model that costs nothing: every point is there and drawn."""

import json
from pathlib import Path

import pytest

from components.bench import paper, scaling_training
from components.bench.run import BenchConfig
from tests.components import world


def test_every_point_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "SIZE", world.SIZE)
    geometry = {"image_side": 56, "volume_side": 56, "crop_side": 28, "slices": 3}
    monkeypatch.setattr(paper, "CONTRACT", paper.CONTRACT.model_copy(update=geometry))
    monkeypatch.setattr(scaling_training, "SLICES", (2, 3))
    workers = {"samples_per_second": {"1": 5.0, "2": 9.0}, "ceiling": 1.9, "ratio": 1.8}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train_workers_2.json").write_text(json.dumps(workers))
    tree = scaling_training.run(BenchConfig(checkpoint=world.checkpoint(tmp_path / "c"), out=tmp_path / "out"))
    assert tree == json.loads((tmp_path / "out" / "scaling" / "training.json").read_text())
    assert [len(point["answers"]) for point in tree["samples"]] == [1, 2, 4, 8]
    assert [("peer" in point) for point in tree["samples"]] == [True, True, False, False]
    assert tree["prompt"][0]["tokens"] < tree["prompt"][1]["tokens"]
    assert tree["workers"]["ceiling"] == 1.9
    assert (tmp_path / "out" / "scaling" / "training.png").stat().st_size > 5000
