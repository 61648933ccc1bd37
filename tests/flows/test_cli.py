import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CLI = "from flows.cli import main; main()"
HEAVY = ("torch", "ray", "mlflow", "prefect", "evidently", "transformers", "monai", "dvc", "numpy", "pandas")
COMMANDS = ("ask", "data", "demo", "doctor", "drift", "evaluate", "promote", "rollback", "trace", "train", "ui")


def urm(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CLI, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys; import flows.cli; print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_help_names_every_command_and_starts_with_examples() -> None:
    told = urm("--help").stdout
    assert all(f"\n  {command} " in told for command in COMMANDS)
    assert told.index("urm ask head.nii.gz") < told.index("Commands:")
    assert len(told.splitlines()) <= 40


@pytest.mark.parametrize("arguments", [("asks",), ("ask",), ("train", "base2"), ("promote", "first")])
def test_what_is_no_command_exits_with_2(arguments: tuple[str, ...]) -> None:
    told = urm(*arguments)
    assert told.returncode == 2
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("name", ["empty.nii.gz", "rgb.txt", "constant.nii.gz", "none.png"])
def test_a_bad_file_is_told_in_four_lines(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    if name == "constant.nii.gz":
        nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)).to_filename(file)
    elif name != "none.png":
        file.write_bytes(b"")
    told = urm("ask", str(file), "Is there a lesion?", "--option", "Yes", "--option", "No")
    assert told.returncode == 2
    assert [line.split(":")[0].strip() for line in told.stderr.splitlines()] == ["error", "where", "safe", "next"]
    assert told.stdout == ""


def test_doctor_says_what_to_do_about_what_is_missing(tmp_path: Path) -> None:
    told = urm("doctor", cwd=tmp_path)
    assert told.returncode == 1
    assert "fail this is not the project's folder (no dvc.yaml)\n     fix: cd to the clone" in told.stdout
    assert list(tmp_path.iterdir()) == []


def test_doctor_is_readable_by_machines() -> None:
    findings = json.loads(urm("doctor", "--json").stdout)
    assert {finding["level"] for finding in findings} <= {"ok", "warn", "fail"}
    assert all(finding["fix"] for finding in findings if finding["level"] != "ok")


def test_there_is_nothing_to_promote_at_first(tmp_path: Path) -> None:
    told = urm("rollback", cwd=tmp_path)
    assert told.returncode == 2
    assert told.stderr.startswith("error: no previous champion")
