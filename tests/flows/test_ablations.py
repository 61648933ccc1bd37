"""The ablations in a repository of their own: real DVC, real cells of a small world, two lanes, MLflow on SQLite."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from components.ablation import claims
from components.compare import runs
from components.compare.differences import line
from flows import ablations, comparing, stages
from flows.ablations import FILE
from model.interface.errors import BadInput
from tests.components import world

ROOT = Path(__file__).parents[2]
PARAMS = {
    "seeds": [0, 1],
    "training": {"heads": 4, "epochs": 1, "studies": 4, "max_tokens": 16, "draws": 100},
    "cells": {"joint": {}, "no-crops": {"crops": "none"}},
    "claims": [
        {"claim": "crops help", "better": "joint", "than": "no-crops", "metric": metric, "dimension": dimension}
        for metric, dimension in (("accuracy", "3d"), ("z_overlap", "2d"))  # the second can't be measured
    ],
}


def put(folder: Path, params: dict) -> None:
    (folder / FILE).with_name("params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own graph on two cells and two seeds, with what the small world has of its deps."""
    folder = tmp_path_factory.mktemp("clone")
    graph = yaml.safe_load((ROOT / FILE).read_text())
    del graph["stages"]["rl"]
    graph["stages"]["sft"]["matrix"] = {"cell": list(PARAMS["cells"]), "seed": PARAMS["seeds"]}
    graph["stages"]["sft"]["deps"] = ["checkpoints/base"]
    graph["stages"]["claims"]["deps"] = ["results/ablation/cells"]
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_text(yaml.safe_dump(graph))
    (folder / "params.yaml").write_text("data: {}\nevaluate: {}\n")
    (folder / ".gitignore").write_text("data\n.urm\n.cache\ntraces\n")
    put(folder, PARAMS)
    world.data(folder / "data")
    world.checkpoint(folder / "checkpoints/base")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(ROOT))
        said = list(ablations.run())
    assert [line for line in said if line.endswith(": ran")] == [
        *(f"sft@{cell}-{seed}: ran" for seed in (0, 1) for cell in PARAMS["cells"]),
        "claims: ran",
    ]
    (page,) = [line.removeprefix("page with traces: ") for line in said if line.startswith("page with traces: ")]
    assert Path(page) == folder / "traces/ablations.html"
    commit = ["git", "-c", "user.name=n", "-c", "user.email=e@e"]
    subprocess.run([*commit, "add", "."], cwd=folder, check=True)
    subprocess.run([*commit, "commit", "-qm", "all"], cwd=folder, check=True)
    return folder


def test_a_fresh_clone_is_up_to_date_without_data(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "clone", "-q", str(clone), str(tmp_path / "fresh")], check=True)
    assert not (tmp_path / "fresh/data").exists()
    monkeypatch.chdir(tmp_path / "fresh")
    assert stages.changed(FILE) == []
    assert stages.reproduce(f"{FILE}:claims", upstream=True) == "up to date"


def test_one_param_runs_only_its_cells(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "clone", "-q", str(clone), str(tmp_path / "fresh")], check=True)
    monkeypatch.chdir(tmp_path / "fresh")
    put(tmp_path / "fresh", PARAMS | {"cells": {"joint": {}, "no-crops": {"crops": "elsewhere"}}})
    assert stages.changed(FILE) == [f"{FILE}:sft@no-crops-0", f"{FILE}:sft@no-crops-1", f"{FILE}:claims"]
    put(tmp_path / "fresh", PARAMS | {"training": PARAMS["training"] | {"epochs": 2}})
    assert len(stages.changed(FILE)) == 4


def test_cells_are_children_of_one_run_by_name_and_only_once(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    assert ablations.record() == 4
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("ablations")
    assert experiment is not None
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(found) == {
        *(f"{cell}, seed {seed}" for cell in PARAMS["cells"] for seed in (0, 1)),
        next(name for name in found if name and name.startswith("all cells")),
    }
    child = found["no-crops, seed 1"]
    parent = next(run for name, run in found.items() if name and name.startswith("all cells"))
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (child.data.params["cell"], child.data.params["crops"]) == ("no-crops", "none")
    assert {"heads", "epochs", "lr", "code"} <= set(child.data.params)
    assert "3d/accuracy" in child.data.metrics
    assert client.list_artifacts(child.info.run_id, "pictures")


def test_runs_are_compared_on_a_page_that_leads_to_their_traces(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of so few steps get the same wrong, so one answer of a copy is told to be right."""
    subprocess.run(["git", "clone", "-q", str(clone), str(tmp_path / "fresh")], check=True)
    monkeypatch.chdir(tmp_path / "fresh")
    Path("data").symlink_to(clone / "data")
    answers = Path("results/ablation/cells/joint/0.jsonl.gz")
    first, *others = runs.read(answers)
    assert not first.right
    runs.write(answers, [replace(first, counts=first.counts | {"accuracy": (1.0, 1)}), *others])
    rows = comparing.compared(["no-crops", "joint"], Path("traces/compare.html"), 3)
    assert {(row.better, row.than) for row in rows} == {("joint", "no-crops")}
    assert "Leaderboard" in Path("traces/compare.html").read_text()
    leads_to_traces(Path("traces/compare.html"))
    leads_to_traces(claims.linked(ablations.TRACED, Path("data")))
    lines = [line(row) for row in rows]
    assert len(lines) == len(rows) == 6
    assert lines[0].startswith("joint - no-crops, ")


def leads_to_traces(page: Path) -> None:
    """Every changed answer it tells of has a link, to a page of two frames; all files are there."""
    links = re.findall(r'<a href="([^"]+)"', page.read_text())
    assert len(links) == page.read_text().count("<details>") > 0
    for link in links:
        beside = page.parent / link
        frames = re.findall(r'<iframe src="([^"]+)"', beside.read_text())
        assert len(frames) == 2
        assert all((beside.parent / frame).is_file() for frame in frames)


def test_an_unknown_run_is_told_with_those_that_are_there(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    with pytest.raises(BadInput, match="no such run") as error:
        comparing.compared(["joint", "jiont"], Path("traces/compare.html"), 0)
    assert "found 'jiont', wanted one of sft, rl, joint, no-crops" in error.value.where


def test_the_projects_own_graph_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The retraining flow doesn't train the ablations."""
    monkeypatch.chdir(ROOT)
    assert not any("ablation" in name for name in stages.plan())
    assert len(stages.plan(FILE)) == 66  # thirteen cells of five seeds, and the claims
