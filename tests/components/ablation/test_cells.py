"""The plan, and that the graph says the same."""

from pathlib import Path

import pytest
import yaml

from components.ablation import cells
from components.ablation.cells import Cell, cell_of, plan
from components.evaluation.report import COMPARED
from model.interface.errors import BadInput

ROOT = Path(__file__).parents[3]
PLAN = plan(ROOT / cells.FILE)
GRAPH = yaml.safe_load((ROOT / "components/ablation/dvc.yaml").read_text())["stages"]
CLAIM = {"claim": "c", "better": "b", "than": "a", "metric": "box_iou", "dimension": "2d"}
MAIN = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_the_graph_has_every_cell_and_seed_once() -> None:
    sft, rl = (GRAPH[stage]["matrix"] for stage in ("sft", "rl"))
    assert sft["seed"] == rl["seed"] == list(PLAN.seeds)
    assert [*sft["cell"], *rl["cell"]] == list(PLAN.cells)
    assert {cell.after for name, cell in PLAN.cells.items() if name in rl["cell"]} == {"joint", "matched"}
    forerunners = {f"results/ablation/cells/{name}/${{item.seed}}.json" for name in ("joint", "matched")}
    assert forerunners <= set(GRAPH["rl"]["deps"])
    assert not any(PLAN.cells[name].after for name in sft["cell"])


def test_a_cell_depends_on_what_makes_data_trains_and_asks() -> None:
    """As the stages of the main graph do, but for what a fresh clone doesn't have."""
    absent = {"data", "checkpoints/sft", "checkpoints/rl"}
    judged = {
        "components/evaluation/baselines.py",
        "components/evaluation/config.py",
        "components/evaluation/traces.py",
    }
    sheets = {"components/data/card.py", "components/data/pictures.py"}
    for stage, needs in (("sft", ("data", "sft", "evaluate")), ("rl", ("data", "sft", "rl", "evaluate"))):
        wanted = {dep for name in needs for dep in MAIN[name]["deps"]} - absent - judged - sheets
        assert wanted <= set(GRAPH[stage]["deps"]), stage
        assert all((ROOT / dep).exists() for dep in GRAPH[stage]["deps"] if not dep.startswith("results"))
        assert "data" in GRAPH[stage]["params"]  # the section of params.yaml


def test_what_rl_is_told_runs_nothing_but_rl_again() -> None:
    told = {
        stage: next(param for param in GRAPH[stage]["params"] if isinstance(param, dict))[str(cells.FILE)]
        for stage in ("sft", "rl")
    }
    assert told == {"sft": ["training", "cells.${item.cell}"], "rl": ["training", "rl", "cells.${item.cell}"]}


def test_every_claim_has_five_seeds_and_a_metric_that_pairs_up() -> None:
    assert len(PLAN.seeds) >= 5
    assert {claim.metric for claim in PLAN.claims} <= set(COMPARED)
    told = {(claim.better, claim.than, claim.dimension) for claim in PLAN.claims}
    wanted = [
        *(("joint", other, "3d") for other in ("only-3d", "ungrounded", "no-crops")),
        *(("joint-rl", "joint", dimension) for dimension in ("2d", "3d")),
        *(("joint-rl-iou", "joint-rl", dimension) for dimension in ("2d", "3d")),
    ]
    assert set(wanted) <= told


def test_grounding_is_asked_for_alone_and_with_crops() -> None:
    told = {(claim.better, claim.than, claim.metric, claim.dimension) for claim in PLAN.claims}
    assert {(cell, "ungrounded", "accuracy", d) for cell in ("joint", "no-crops") for d in ("2d", "3d")} <= told


def test_a_claim_of_keeping_says_within_what() -> None:
    kept = [claim for claim in PLAN.claims if "keeps" in claim.claim]
    assert [(claim.dimension, claim.within) for claim in kept] == [("2d", 0.02), ("3d", 0.02)]
    assert all(claim.within is None for claim in PLAN.claims if claim not in kept)


def test_titles_tell_cells_apart() -> None:
    titles = [cell.title() for cell in PLAN.cells.values()]
    assert len(set(titles)) == len(titles)
    assert PLAN.cells["joint-rl-iou"].title() == "RL with IoU from joint: 2D + 3D, grounded, native crops"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cells": {"a": {"mixture": "4d"}}}, "cells.a.mixture: found 4d"),
        ({"cells": {"a": {"grounding": False}}}, "cells.a.grounding"),
        ({"cells": {"a": {"grounded": False}}}, "without boxes there are none"),
        ({"cells": {"a": {"mixture": "2d", "volumes": 40}}}, "no volume is trained on"),
        ({"cells": {"a": {"reward": "ours+iou"}}}, "only RL has a reward"),
        ({"cells": {"a": {"after": "b"}}}, "cell 'b' is named and not there, known: a"),
        (
            {
                "cells": {"a": {}, "b": {}},
                "claims": [CLAIM | {"within": -0.02}],
            },
            "claims.0.within: found -0.02",
        ),
        ({"training": {"heads": 1}, "cells": {"a": {}}}, "training.heads: found 1"),
        ({"cells": {"a": {}}, "seeds": []}, "seeds: found [], wanted one or more"),
        ({"cells": {"a": {}}, "seeds": [0, 1, 0]}, "seeds: found [0, 1, 0], wanted one or more, each once"),
        ({"cells": {"a": {"after": "a"}}}, "cell 'a' goes on from 'a', which is RL's"),
        ({"cells": {"s": {}, "a": {"after": "s"}, "b": {"after": "a"}}}, "cell 'b' goes on from 'a', which is RL's"),
        (
            {"cells": {"a": {}, "b": {}}, "claims": [CLAIM | {"metric": "acuracy"}]},
            "metric is 'acuracy', wanted one of",
        ),
        ({"cells": {"a": {}, "b": {}}, "claims": [CLAIM, CLAIM]}, "'c' of box_iou in 2d stands twice"),
        ({"cells": {"a": {}, "b": {}}, "claims": [CLAIM | {"than": "b"}]}, "better and than are both 'b'"),
        (
            {"cells": {"a": {}, "b": {}, "c": {"after": "a"}}, "claims": [CLAIM | {"metric": "sampled_accuracy"}]},
            "'c' is of sampled_accuracy, which 'b' doesn't have",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_its_key(change: dict, told: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(change))
    with pytest.raises(BadInput, match="can't be planned") as error:
        plan(tmp_path / "params.yaml")
    assert told in error.value.where


def test_an_unknown_cell_is_told_with_the_known_ones() -> None:
    assert cell_of(PLAN, "joint") == Cell()
    with pytest.raises(BadInput, match="no such cell") as error:
        cell_of(PLAN, "joined")
    assert "found 'joined', wanted one of joint" in error.value.where
