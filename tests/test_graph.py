"""Stages depend on the code they run through. What they import and don't depend on is named here, with the reason."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = ("dvc.yaml", "components/ablation/dvc.yaml")
STAGES = {
    f"{file}:{name}": stage
    for file in FILES
    for name, stage in yaml.safe_load((ROOT / file).read_text())["stages"].items()
}

WHERE_AND_WHEN = {
    *(f"components/{name}.py" for name in ("cluster", "environment", "settings", "stage", "tracking")),
    *(
        f"components/training/{name}.py"
        for name in (
            *("alarms", "estimate", "launch", "load", "meter", "ownership"),
            *("progress", "runs", "shapes", "showing", "states"),
        )
    ),
    *(f"model/vlm/{name}.py" for name in ("hub", "room", "shelf", "weights")),
}
"""Code that decides where, when and how fast something is made, what is told of it and whether it fits; not what."""
JUDGES = {
    f"components/evaluation/{name}.py" for name in ("baselines", "config", "metrics", "report", "selective", "traces")
}
MARKS = {f"model/learning/{name}.py" for name in ("matching", "rewards")}
"""What judges answers by their words and their form."""
ELSEWHERE = {
    # the slow base depends on no more than it runs through; these have not changed its bytes so far
    "dvc.yaml:base": {
        *(f"model/imaging/{name}.py" for name in ("shards", "volume")),
        *(f"model/interface/{name}.py" for name in ("boxes", "errors", "question", "writing")),
    },
    # a sampling that sft never asks for, and sections that are another stage's
    "dvc.yaml:sft": {
        "components/training/rl_config.py",
        *(f"model/vlm/{name}.py" for name in ("fixed", "rollout", "sampling")),
    },
    # they read an exam through `evaluation.run` and score in their own way
    **{f"dvc.yaml:{name}": JUDGES | MARKS for name in ("confidence", "consistency", "audit")},
    "components/ablation/dvc.yaml:sft": {
        *(f"components/evaluation/{name}.py" for name in ("baselines", "config", "traces")),
        *(
            f"components/training/{name}.py"
            for name in ("groups", "policy", "rl", "rl_config", "rollout_pool", "rollouts")
        ),
        "model/vlm/backend.py",
    },
    "components/ablation/dvc.yaml:rl": {
        f"components/evaluation/{name}.py" for name in ("baselines", "config", "traces")
    },
}
"""Imported by a stage's module for another stage's sake."""
PAGES = ("components/evaluation/selective.py", "components/serving/", "model/")
"""What the page of the claims shows an answer with: numbers come from the rows of the cells."""


def imported(entry: Path) -> set[str]:
    """The project's own modules that this one runs through, itself among them."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            places = (ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in names)
            waiting += [place for place in places if place.exists()]
    return {file.relative_to(ROOT).as_posix() for file in found}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_what_it_runs_through(name: str) -> None:
    stage = STAGES[name]
    command = stage["cmd"] if isinstance(stage["cmd"], str) else stage["cmd"][0]
    module = command.split(" -m ")[1].split()[0]
    through = imported(ROOT.joinpath(*module.split(".")).with_suffix(".py"))
    deps = [str(dep) for dep in stage["deps"]]
    absent = {file for file in through if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)}
    absent -= WHERE_AND_WHEN | ELSEWHERE.get(name, set())
    if name.endswith(":claims"):
        absent = {file for file in absent if not file.startswith(PAGES)}
    assert not absent


def test_what_is_named_here_is_there() -> None:
    named = WHERE_AND_WHEN | JUDGES | MARKS | {file for some in ELSEWHERE.values() for file in some}
    assert all((ROOT / file).is_file() for file in named)
    assert set(ELSEWHERE) <= set(STAGES)
