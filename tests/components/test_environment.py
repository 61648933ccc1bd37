import os
from pathlib import Path

import pytest

from components import environment


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    environment.settle()
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://mlflow.example"


def test_telemetry_is_off(home: Path) -> None:
    environment.settle()
    for name, value in environment.TELEMETRY_OFF.items():
        assert os.environ[name] == value


def test_state_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment.settle()
    monkeypatch.chdir(tmp_path)
    assert environment.settle() == before
    assert before.is_absolute()


def test_settling_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environment.HOME)
    monkeypatch.chdir(tmp_path)
    environment.settle()
    assert list(tmp_path.iterdir()) == []
