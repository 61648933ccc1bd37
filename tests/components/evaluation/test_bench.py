import json
from pathlib import Path

import pytest

from components.evaluation.bench import BenchConfig, run
from tests.components import world


def test_a_figure_says_what_was_compared_and_that_it_was_equal(tmp_path: Path) -> None:
    data, folder = world.data(tmp_path / "data"), world.checkpoint(tmp_path / "rl")
    config = BenchConfig(data=data, checkpoint=folder, questions=4, repeats=1, out=tmp_path / "bench")
    figure = run(config)
    assert json.loads((tmp_path / "bench/decode_followup.json").read_text()) == figure
    assert figure["equal"]["max_abs_diff"] <= figure["equal"]["tolerance"]
    assert figure["ratio"] == pytest.approx(figure["peer"]["seconds"] / figure["ours"]["seconds"], rel=0.25)
    assert figure["n"] == 4
