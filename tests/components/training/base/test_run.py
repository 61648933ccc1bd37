"""The whole stage on a corpus of one head: what it writes, and that an interrupted run ends in the same bytes."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from components.training.base import run as stage
from components.training.base.language import teach
from components.training.base.run import BaseConfig, run
from model.interface.boxes import Box
from model.vlm import checkpoint as folders
from tests.components.training.base.small import MASS, closer, corpus, row


@pytest.fixture
def config(tmp_path: Path) -> BaseConfig:
    folder = tmp_path / "corpus"
    folder.mkdir()
    corpus(folder)
    closer(folder)
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
        rows=(3, 3),
        lessons=(2, 2),
        drills=(4, 2),
        letter_steps=1,
        letters=(3, 3),
        closer_steps=1,
        closer=(2, 2),
    )


@pytest.mark.parametrize("half", [1, 2])
def test_a_run_interrupted_in_either_half_ends_in_the_same_bytes(config, monkeypatch, half):
    metrics = run(config)
    assert json.loads(config.results.read_text()) == metrics
    assert (metrics["images"], metrics["volumes"]) == (3, 1)
    assert folders.load(config.out).digest == metrics["checkpoint"]
    assert not list(config.corpus.glob("kept-*"))  # made again means made again
    taught = 0

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def once_more(*given: Any, **how: Any) -> None:
        nonlocal taught
        taught += 1
        if taught == half:
            raise KeyboardInterrupt
        teach(*given, **how)

    again = config.model_copy(update={"out": config.out.with_name("again")})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage, "teach", once_more)
        run(again)
    assert len(list(config.corpus.glob("kept-*"))) == half
    monkeypatch.setattr(stage, "teach_tower", stopped)
    if half == 2:
        monkeypatch.setattr(stage, "teach", only_letters)
    assert run(again) == metrics


def only_letters(*given: Any, **how: Any) -> None:
    assert how["drilled"] == ("letter",)
    teach(*given, **how)
