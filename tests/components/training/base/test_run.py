"""The whole stage on a corpus of one head: what it writes, and that an interrupted run ends in the same bytes."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from components.training.base import run as stage
from components.training.base.run import BaseConfig, run
from model.interface.boxes import Box
from model.vlm import checkpoint as folders
from tests.components.training.base.small import MASS, corpus, row


@pytest.fixture
def config(tmp_path: Path) -> BaseConfig:
    folder = tmp_path / "corpus"
    folder.mkdir()
    corpus(folder)
    oblong = row("oblong", "coronal", 10, [])
    oblong["seen"] = {
        "enhancing mass": asdict(Box.of((*MASS.low[:1], 0, MASS.low[2], *MASS.high[:1], 1, MASS.high[2])))
    }
    with (folder / "studies.jsonl").open("a") as studies:
        studies.write(json.dumps(oblong) + "\n")
    return BaseConfig(
        corpus=folder,
        out=tmp_path / "base",
        results=tmp_path / "metrics.json",
        tower_steps=2,
        tower_batch=(3, 3, 3, 3),
        steps=2,
        letter_steps=1,
        letters=(3, 3),
        rows=(3, 3),
        lessons=(2, 2),
        drills=(4, 2),
    )


def test_an_interrupted_run_keeps_its_tower_and_ends_in_the_same_bytes(config, monkeypatch):
    metrics = run(config)
    assert json.loads(config.results.read_text()) == metrics
    assert (metrics["images"], metrics["volumes"]) == (3, 1)
    assert folders.load(config.out).digest == metrics["checkpoint"]
    assert not list(config.corpus.glob("tower-*"))  # made again means made again

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    again = config.model_copy(update={"out": config.out.with_name("again")})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage, "teach", stopped)
        run(again)
    assert len(list(config.corpus.glob("tower-*"))) == 1
    monkeypatch.setattr(stage, "teach_tower", stopped)
    assert run(again)["checkpoint"] == metrics["checkpoint"]
