import json
from pathlib import Path

import pytest
import torch

from components.bench import figures, paper, tuning, updating
from components.bench.figures import FIGURES
from components.bench.measure import Comparison, compare
from components.bench.run import BenchConfig, run
from model.interface.errors import BadInput, Failure
from model.vlm import checkpoint as folders
from tests.components import world

KEYS = {"figure", "ratio", "ours", "peer", "peer_is", "equal", "n", "machine", "commit", "checkpoint", "command"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.data(tmp_path_factory.mktemp("bench-data") / "data")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """The paper's figures, on a model and slices that cost nothing; fine-tuning on a dozen studies."""
    monkeypatch.setattr(tuning, "DATA", data)
    monkeypatch.setattr(paper, "SIZE", world.SIZE)
    geometry = {"image_side": 56, "volume_side": 56, "crop_side": 28, "slices": 3}
    monkeypatch.setattr(paper, "CONTRACT", paper.CONTRACT.model_copy(update=geometry))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.checkpoint(tmp_path_factory.mktemp("bench") / "base")


def test_every_figure_compares_equal_results_and_says_all_about_itself(folder: Path, tmp_path: Path) -> None:
    written = run(BenchConfig(checkpoint=folder, repeats=1, out=tmp_path))
    assert [figure["figure"] for figure in written] == list(FIGURES)
    for figure in written:
        assert json.loads((tmp_path / f"{figure['figure']}.json").read_text()) == figure
        assert set(figure) == KEYS
        if figure["equal"]["tolerance"] is None:  # the peer shows something else: then it is seen
            assert (tmp_path / f"{figure['figure']}.png").stat().st_size > 1000
        else:
            assert figure["equal"]["max_abs_diff"] <= figure["equal"]["tolerance"]
        assert figure["ratio"] == pytest.approx(figure["peer"]["seconds"] / figure["ours"]["seconds"], rel=0.05)
        assert figure["ours"]["memory_mb"]


def test_equal_is_more_than_a_shape(folder: Path) -> None:
    """The tensors that are compared hold scores and gradients, not zeros."""
    checkpoint = folders.load(folder)
    for figure in FIGURES.values():
        given = figure(checkpoint).ours()
        assert given.numel() > 20
        assert given.abs().max() > 1e-3, figure.__name__


def test_ways_that_disagree_are_not_timed() -> None:
    lie = Comparison(lambda: torch.zeros(2), lambda: torch.tensor([0.0, 0.1]), "", 1)
    with pytest.raises(Failure, match="disagree"):
        compare("lie", lie, 1)
    with pytest.raises(Failure, match="disagree"):
        compare("nan", Comparison(lambda: torch.zeros(1), lambda: torch.tensor([torch.nan]), "", 1), 1)


def test_only_named_figures_are_measured(folder: Path, tmp_path: Path) -> None:
    run(BenchConfig(checkpoint=folder, repeats=1, out=tmp_path), names=("decode_3d_3rounds",))
    assert [file.name for file in tmp_path.iterdir()] == ["decode_3d_3rounds.json"]
    with pytest.raises(BadInput, match="no figure 'decode_group9'") as error:
        run(BenchConfig(checkpoint=folder), names=("decode_group9",))
    assert "decode_group8" in error.value.next


def test_a_group_differs_in_length_and_in_boxes(folder: Path) -> None:
    """Equal rows would never wait for one another."""
    rollouts = figures.together(checkpoint := folders.load(folder), updating.group(checkpoint, updating.GROUP))
    assert len({r.rounds for r in rollouts}) == 3
    assert len({len(r.logprobs) for r in rollouts}) > 1
    assert all(r.features and not r.truncated for r in rollouts)
