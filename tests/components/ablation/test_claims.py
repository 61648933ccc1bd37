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


def answered(out: Path, **data: str) -> Path:
    """data: cell -> digest of what it answered."""
    for name, wrong in (("joint", 2), ("only-3d", 12)):
        for seed, answers in made(name, wrong, seeds=2).seeds.items():
            place = out / "cells" / name
            place.mkdir(parents=True, exist_ok=True)
            digests = {"data": data.get(name.replace("-", "_"), "d"), "checkpoint": f"{seed}"}
            told = {"cell": name, "seed": seed, "title": name, "settings": {}, "contract": {}, "digests": digests}
            (place / f"{seed}.json").write_text(json.dumps(told))
            runs.write(place / f"{seed}.jsonl.gz", answers.values())
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


def test_nothing_is_made_of_cells_that_answered_other_data(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="other questions") as error:
        claims.run(PLAN, answered(tmp_path, only_3d="e"))
    assert error.value.where == "only-3d, data: found e, wanted d as of joint"
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]
