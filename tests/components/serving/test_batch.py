"""A folder of good and bad files, through the command and two processes."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from components.serving import batch
from components.serving.ask import ask
from model.imaging.reading.declared import Declared
from model.interface.errors import BadInput
from model.vlm import checkpoint as checkpoints
from model.vlm.calibration import Asked as Whom
from model.vlm.calibration import Calibration
from tests.components import world


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("batch")
    (place / "scans").mkdir()
    for i, name in enumerate("acd"):
        np.save(place / "scans" / f"{name}.npy", np.random.default_rng(i).uniform(0, 99, (16, 16, 6)))
    (place / "scans" / "b-Jane-Doe.nii").write_bytes(b"no scan")
    world.checkpoint(place / "c")
    return place


def test_every_file_is_a_line_and_a_bad_one_says_why(folder: Path) -> None:
    asked = [("Is a blob seen?", ("Yes", "No")), ("Where is the blob?", ())]
    lines = list(batch.over_folder(folder / "scans", batch.Job(folder / "c", tuple(asked), Declared("MR")), workers=2))
    assert [line.place for line in lines] == [0, 1, 2, 3]
    assert [len(line.traces) for line in lines] == [2, 0, 2, 2]
    assert lines[1].error and "Jane" not in json.dumps(lines[1].error)
    for line, name in ((lines[0], "a"), (lines[3], "d")):
        for trace, (text, options) in zip(line.traces, asked, strict=True):
            alone, *_ = ask(folder / "c", folder / "scans" / f"{name}.npy", text, options, Declared("MR"))
            assert trace["steps"] == json.loads(json.dumps(alone.to_json()["steps"])) or [
                step["text"] for step in trace["steps"]
            ] == [step.text for step in alone.steps]


def test_a_cluster_of_two_engines_answers_alike(folder: Path) -> None:
    """Ray Data's actors against this machine's processes: the same lines in the same order, but for the seconds."""
    asked = (("Is a blob seen?", ("Yes", "No")),)
    calibration = folder / "calibration.json"
    whom = Whom(checkpoints.verify(folder / "c"), world.CONTRACT.digest(), samples=2)
    calibration.write_text(json.dumps(Calibration.fitted("raw", [0.1, 0.9], [False, True], 0.5, whom).to_json()))
    job = batch.Job(folder / "c", asked, Declared("MR"), calibration)
    found = [
        [untimed(line) for line in batch.over_folder(folder / "scans", job, workers=2, on=on)]
        for on in ("processes", "ray")
    ]
    assert found[0] == found[1]
    assert [line["place"] for line in found[1]] == [0, 1, 2, 3]
    assert found[1][1]["error"]
    assert found[1][0]["groundings"][0]["threshold"] == 0.5


def untimed(line: batch.Line) -> dict:
    row = json.loads(json.dumps(asdict(line)))
    return row | {"traces": [trace | {"seconds": 0} for trace in row["traces"]]}


def test_the_command_writes_json_lines(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    monkeypatch.chdir(tmp_path)  # where no stage has calibrated anything

    app = typer.Typer()
    app.command()(batch.command)
    told = [
        "Is a blob seen?",
        "--option",
        "Yes",
        "--option",
        "No",
        "--checkpoint",
        str(folder / "c"),
        "--modality",
        "MR",
    ]
    done = CliRunner().invoke(app, [str(folder / "scans"), str(tmp_path / "out.jsonl"), *told])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["place"] for row in rows] == [0, 1, 2, 3]
    assert sum(row["error"] is not None for row in rows) == 1
    assert "not calibrated" in rows[0]["groundings"][0]["why_not"]
    assert CliRunner().invoke(app, [str(tmp_path / "no"), str(tmp_path / "out"), *told]).exit_code == BadInput.exit_code
