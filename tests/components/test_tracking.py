"""Against a real MLflow on SQLite in a folder of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from components import tracking
from components.tracking import Curves, log_evaluation, send_waiting
from model.interface.errors import TryAgain

NOBODY = "http://127.0.0.1:9"
"""Port 9 (discard): nobody answers there."""


@pytest.fixture(scope="module", autouse=True)
def store(home: Path) -> None:
    """Its tables are there: to make them takes longer than a curve waits for, on a busy machine."""
    assert tracking.aliases("none") == {}


def runs(experiment: str) -> list[Run]:
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def history(run: Run, name: str) -> list[tuple[int, float]]:
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))


def draw(stage: str, steps: range, key: str = "k1") -> Curves:
    curves = Curves(stage, key, {"lr": 0.1})
    for step in steps:
        curves.log(step, {"loss": 1 / (step + 1)})
    curves.close()
    return curves


def test_every_point_of_a_curve_arrives_once() -> None:
    draw("arrive", range(1200))  # more than one request holds
    [run] = runs("arrive")
    assert history(run, "loss") == [(step, pytest.approx(1 / (step + 1))) for step in range(1200)]
    assert run.data.params == {"lr": "0.1"}
    assert run.info.status == "FINISHED"


def test_a_resumed_training_goes_on_in_its_run_and_repeats_no_step() -> None:
    draw("resume", range(10))
    draw("resume", range(6, 14))
    [run] = runs("resume")
    assert [step for step, _ in history(run, "loss")] == list(range(14))


def test_another_training_is_another_run() -> None:
    draw("two", range(2), "k1")
    draw("two", range(2), "k2")
    assert len(runs("two")) == 2


def test_no_point_is_lost_when_mlflow_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY)
        began = time.monotonic()
        curves = draw("down", range(50))
        assert time.monotonic() - began < tracking.CLOSE_WITHIN_S + 2
        with pytest.raises(TryAgain, match="MLflow did not answer"):
            send_waiting()
    assert not runs("down")
    assert send_waiting() == 1
    assert send_waiting() == 0
    [run] = runs("down")
    assert len(history(run, "loss")) == 50
    assert curves.file.exists()


def test_pictures_of_a_step_arrive_with_the_curve_even_late(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = np.full((4, 6, 3), 7, np.uint8)
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", NOBODY)
        curves = Curves("shown", "k1", {})
        for step in (20, 40, 40):  # the last said again by a training that was resumed
            curves.show(step, shown)
        curves.close()
    assert send_waiting() == 1
    [run] = runs("shown")
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    found = [file.path for file in client.list_artifacts(run.info.run_id, "pictures")]
    assert found == ["pictures/step-000020.png", "pictures/step-000040.png"]
    assert np.array_equal(np.asarray(Image.open(client.download_artifacts(run.info.run_id, found[0]))), shown)


def test_a_line_cut_by_a_kill_is_dropped_and_the_rest_kept() -> None:
    curves = draw("cut", range(5))
    with curves.file.open("a") as file:
        file.write('{"step": 5, "at": 12')
    draw("cut", range(5, 8))
    [run] = runs("cut")
    assert [step for step, _ in history(run, "loss")] == list(range(8))


def test_sending_twice_is_sending_once() -> None:
    curves = draw("again", range(5))
    curves.file.with_suffix(".sent").unlink()
    assert send_waiting() == 1
    [run] = runs("again")
    assert len(history(run, "loss")) == 5


def test_an_evaluation_is_logged_once_with_its_files(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    table.write_text("| |")

    def log() -> str:
        return log_evaluation(
            "once",
            "k",
            metrics={"rl/test/2d/iou@0.5": 0.25},
            tags={tracking.CKPT_MD5: "abc"},
            files=[table],
            pictures={"right-1": np.zeros((8, 8, 3), np.uint8)},
        )

    assert log() == log()
    [run] = runs("once")
    assert run.data.metrics == {"rl/test/2d/iou_0.5": 0.25}
    assert run.data.tags[tracking.CKPT_MD5] == "abc"
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"pictures", "table.md"}
    assert "/artifacts/" in str(run.info.artifact_uri)


def test_killed_while_it_makes_the_tables_the_store_can_still_be_made(tmp_path: Path) -> None:
    """A file with some of its tables is one that MLflow never opens again."""
    command = [sys.executable, "-c", "from components.tracking import aliases; print(aliases('none'))"]
    place = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    place["URM_HOME"] = str(tmp_path)
    killed = subprocess.Popen(command, env=place)
    while not any(file.stat().st_size for file in tmp_path.glob(".mlflow.db*")):
        assert killed.poll() is None
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "mlflow.db").exists()
    again = subprocess.run(command, env=place, capture_output=True, text=True, check=True)
    assert again.stdout.strip() == "{}"
    assert not list(tmp_path.glob(".mlflow.db*"))


def test_processes_may_start_a_new_store_together(tmp_path: Path) -> None:
    """Without a lock the first four break the tables for good."""
    code = "from components.tracking import aliases; print(aliases('none'))"
    clean = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=clean | {"URM_HOME": str(tmp_path)}, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in started] == ["{}"] * 3


def test_a_child_stands_under_its_parent_with_name_and_params() -> None:
    parent = log_evaluation("family", "p", metrics={}, tags={}, name="all cells")
    told = {"cell": "joint", "after": ""}
    for _ in range(2):
        child = log_evaluation("family", "c", metrics={}, tags={}, name="joint, seed 0", parent=parent, params=told)
    found = {run.info.run_name: run for run in runs("family")}
    assert set(found) == {"all cells", "joint, seed 0"}
    assert found["joint, seed 0"].info.run_id == child
    assert found["joint, seed 0"].data.tags["mlflow.parentRunId"] == parent
    assert found["joint, seed 0"].data.params == {"cell": "joint", "after": "–"}


def test_a_child_goes_over_to_the_parent_that_was_told_last() -> None:
    """One of many cells changed: the new parent has all of them, not that one alone."""
    first, second = (log_evaluation("kin", key, metrics={}, tags={}) for key in ("p1", "p2"))
    for parent in (first, second):
        child = log_evaluation("kin", "c", metrics={}, tags={}, parent=parent)
    (found,) = [run for run in runs("kin") if run.info.run_id == child]
    assert found.data.tags["mlflow.parentRunId"] == second


def test_a_key_is_what_is_said() -> None:
    assert tracking.key_of({"a": 1, "b": 2}) == tracking.key_of({"b": 2, "a": 1})
    assert tracking.key_of({"a": 1}) != tracking.key_of({"a": 2})
