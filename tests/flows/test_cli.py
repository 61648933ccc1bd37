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
COMMANDS = (
    "ask",
    "compare",
    "data",
    "demo",
    "doctor",
    "drift",
    "evaluate",
    "promote",
    "rollback",
    "trace",
    "train",
    "ui",
)


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


def bad_files(folder: Path) -> dict[str, str]:
    """By name, a word of what is wrong with each."""
    ramp = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
    colour = np.zeros((8, 8, 8), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    holes = np.where(ramp % 2, np.nan, ramp)
    arrays = {"constant": ramp * 0, "four": np.stack([ramp] * 3, -1), "rgb": colour, "nan": holes}
    for name, array in arrays.items():
        nib.Nifti1Image(array, np.eye(4)).to_filename(folder / f"{name}.nii.gz")
    whole = (folder / "four.nii.gz").read_bytes()
    (folder / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "kind.png").write_bytes(whole)
    (folder / "empty.nii.gz").write_bytes(b"")
    (folder / "notes.txt").write_text("words")
    return {
        "empty.nii.gz": "empty",
        "truncated.nii.gz": "truncated",
        "four.nii.gz": "4",
        "rgb.nii.gz": "RGB",
        "nan.nii.gz": "NaN",
        "constant.nii.gz": "constant",
        "kind.png": "gzip",
        "notes.txt": ".txt",
        "none.png": "no",
    }


def test_a_bad_file_is_told_in_four_lines(tmp_path: Path) -> None:
    for name, word in bad_files(tmp_path).items():
        assert_told(tmp_path / name, word)


def assert_told(file: Path, word: str) -> None:
    told = urm("ask", str(file), "Is there a lesion?", "--option", "Yes", "--option", "No")
    assert told.returncode == 2
    assert [line.split(":")[0].strip() for line in told.stderr.splitlines()] == ["error", "where", "safe", "next"]
    assert told.stdout == ""
    assert word in told.stderr
    assert file.name in told.stderr


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


def test_runs_that_are_not_there_are_told_in_four_lines(tmp_path: Path) -> None:
    told = urm("compare", "joint", "only-3d", cwd=tmp_path)
    assert told.returncode == 2
    assert told.stderr.splitlines()[-4:] == [
        "error: no such run",
        "  where: runs: found 'joint', wanted one of sft, rl, or a folder",
        "  safe: nothing was changed",
        "  next: make ablations, or urm evaluate",
    ]
