from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from components.stage import command
from model.interface.errors import Conflict


class Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 2


def test_a_step_runs_on_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("step: {steps: 5}")
    given: list[Step] = []
    assert command("step", Step, given.append) == 0
    assert given == [Step(steps=5)]


def test_errors_are_four_lines_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(config: Step) -> None:
        raise Conflict("held by 12", where="lock", next="wait")

    assert command("step", Step, refuse) == 3
    assert capsys.readouterr().err == "error: held by 12\n  where: lock\n  safe: nothing was changed\n  next: wait\n"
