"""Two real gloo workers beside one, on a world that costs nothing: equal gradients, every number told."""

import json
from pathlib import Path

import pytest

from components.bench import tuning, workers
from components.bench.run import BenchConfig
from tests.components import world


def test_two_workers_give_ones_gradient_and_tell_the_ceiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "DATA", world.data(tmp_path / "data"))
    for name, value in (("SAMPLES", 7), ("STEPS", 1), ("REPEATS", 1)):
        monkeypatch.setattr(workers, name, value)
    figure = workers.run(BenchConfig(checkpoint=world.checkpoint(tmp_path / "base"), out=tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "train_workers_2.json").read_text()) == figure
    assert 0 < figure["equal"]["max_abs_diff"] < 1e-5  # sums in another order
    assert figure["ratio"] == pytest.approx(figure["peer"]["seconds"] / figure["ours"]["seconds"], rel=0.5)
    assert figure["ceiling"] > 0
    assert len(figure["load_average"]) == 3
