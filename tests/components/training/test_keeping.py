"""A picture goes through the tower once a run, and once ever where there is room on disk."""

from pathlib import Path

import pytest
import torch

from components import environment
from components.training.examples import examples
from components.training.keeping import encoder, shelf
from components.training.rollouts import backend, generate
from components.training.sft import SftConfig
from model.imaging import shards
from model.imaging.prepare import prepare
from model.vlm import checkpoint as folders
from model.vlm.backend import LocalEngine
from tests.components.training import answers


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(environment.HOME, str(tmp_path / "home"))
    return tmp_path / "home" / "features"


def test_a_training_finds_what_another_kept(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also rl what sft kept: they start from one tower."""
    rl = answers.config(tmp_path, features_gb=0.01)
    checkpoint = folders.load(rl.sft)
    sft = SftConfig(base=rl.sft, data=rl.data, features_gb=0.01)
    _, made = examples(sft.data, "train", checkpoint, encode=encoder(checkpoint, sft))
    assert list(home.glob("*.safetensors"))
    _, plain = examples(sft.data, "train", checkpoint)
    for one, other in zip(made.values(), plain.values(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.pictures, other.pictures, strict=True))

    monkeypatch.setattr("model.vlm.features.features_of", lambda _, some, __: [] if not some else pytest.fail("made"))
    examples(sft.data, "train", checkpoint, encode=encoder(checkpoint, sft))
    study = next(shards.read_studies(rl.data, "train"))
    asked = [(prepare(study.volume, checkpoint.contract), shards.read_questions(rl.data, "train")[0])]
    with backend(checkpoint, rl) as engine:
        assert isinstance(engine, LocalEngine)
        generate(engine, asked, rl.sampling(), 0)
        assert engine.features.misses == 0 < engine.features.used


def test_nothing_is_written_where_no_room_is_given(tmp_path: Path, home: Path) -> None:
    config = answers.config(tmp_path)
    assert shelf(config) is None
    checkpoint = folders.load(config.sft)
    examples(config.data, "train", checkpoint, encode=encoder(checkpoint, config))
    assert not home.exists()
