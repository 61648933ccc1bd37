"""The scaling figure on a model that costs nothing: every point is there and drawn."""

import json
from pathlib import Path

import pytest

from components.bench import paper, scaling
from components.bench.run import BenchConfig
from tests.components import world


def test_every_point_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "SIZE", world.SIZE)
    geometry = {"image_side": 56, "volume_side": 56, "crop_side": 28, "slices": 3}
    monkeypatch.setattr(paper, "CONTRACT", paper.CONTRACT.model_copy(update=geometry))
    monkeypatch.setattr(scaling, "SLICES", (2, 3))
    tree = scaling.run(BenchConfig(checkpoint=world.checkpoint(tmp_path / "c"), out=tmp_path / "out"))
    assert tree == json.loads((tmp_path / "out" / "scaling" / "scaling.json").read_text())
    assert [len(tree[name]) for name in ("slices", "rounds", "samples")] == [2, 4, 4]
    assert [("peer" in point) for point in tree["samples"]] == [True, True, False, False]
    assert len(tree["nth_question_seconds"]) == scaling.QUESTIONS
    assert all(point["ours"]["tokens_per_second"] > 0 for point in tree["rounds"])
    assert (tmp_path / "out" / "scaling" / "scaling.png").stat().st_size > 5000
