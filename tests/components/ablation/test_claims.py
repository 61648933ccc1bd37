"""What is made of the cells, of answers made up: two cells of two seeds."""

import json
from pathlib import Path

import pytest

from components.ablation import claims
from components.ablation.cells import Cell, Claim, Plan
from components.compare import runs
from model.interface.errors import BadInput
from tests.components.compare.made import run as made

PLAN = Plan(
    seeds=(0, 1),
    cells={"joint": Cell(), "only-3d": Cell(mixture="3d")},
    claims=(
        Claim(claim="joint is better", better="joint", than="only-3d", metric="accuracy", dimension="3d"),
        Claim(claim="boxes are kept", better="joint", than="only-3d", metric="box_iou", dimension="3d", within=0.02),
    ),
)


def answered(out: Path, seeds: int = 2, **changed: dict) -> Path:
    """changed: cell -> what its files tell otherwise; "without" is a question that isn't asked."""
    for name, wrong in (("joint", 2), ("only-3d", 12)):
        change = dict(changed.get(name.replace("-", "_"), {}))
        left_out = change.pop("without", None)
        settings, training = PLAN.told(name)
        for seed, answers in made(name, wrong, seeds=seeds).seeds.items():
            place = out / "cells" / name
            place.mkdir(parents=True, exist_ok=True)
            digests = {"data": "d", "base": "b", "checkpoint": f"{seed}"} | change.get("digests", {})
            told = {"cell": name, "seed": seed, "title": name, "settings": settings, "training": training}
            told |= {"contract": {}} | change | {"digests": digests}
            (place / f"{seed}.json").write_text(json.dumps(told))
            rows = [row for question, row in answers.items() if question != left_out]
            runs.write(place / f"{seed}.jsonl.gz", rows)
    return out


def test_claims_are_told_with_what_they_allow_and_what_they_are_of(tmp_path: Path) -> None:
    better, kept = claims.run(PLAN, answered(tmp_path))
    assert (better.verdict, kept.verdict) == ("better", "kept")
    told = json.loads((tmp_path / "claims.json").read_text())
    assert [(row["within"], row["verdict"]) for row in told] == [(None, "better"), (0.02, "kept")]
    table = (tmp_path / "table.md").read_text()
    assert "| boxes are kept  | IoU of boxes, 3D, within 0.02 |" in table
    for text in (table, (tmp_path / "index.html").read_text()):
        assert "one base that was itself taught 2D and 3D, pointing and crops" in text


@pytest.mark.parametrize(
    ("change", "message", "where"),
    [
        ({"digests": {"data": "e"}}, "other questions", "only-3d, data: found e, wanted d as of joint"),
        ({"digests": {"base": "c"}}, "can't be compared", "only-3d, digests.base: found others than joint has"),
        ({"without": "q7"}, "can't be compared", "only-3d, questions: found others than joint has"),
        ({"settings": {"mixture": "2d"}}, "otherwise than is planned", "only-3d, settings: found {'mixture': '2d'}"),
        ({"training": {"epochs": 9}}, "otherwise than is planned", "only-3d, training: found {'epochs': 9}"),
    ],
)
def test_nothing_is_made_of_cells_that_are_no_pair(change: dict, message: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=message) as error:
        claims.run(PLAN, answered(tmp_path, only_3d=change))
    assert where in error.value.where
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


def test_seeds_that_are_not_planned_say_nothing(tmp_path: Path) -> None:
    better, _ = claims.run(PLAN, answered(tmp_path, seeds=3))
    assert better.found.seeds == 2
    assert len(json.loads((tmp_path / "cells.json").read_text())) == 4


def test_no_number_is_rounded_twice(tmp_path: Path) -> None:
    better, _ = claims.run(PLAN, answered(tmp_path))
    assert better.found.low is not None
    assert json.loads((tmp_path / "claims.json").read_text())[0]["low"] == round(better.found.low, 6)
    assert round(better.found.low, 6) != round(better.found.low, 4)
