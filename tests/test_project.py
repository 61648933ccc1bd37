"""What holds the project together: pins, the constraints file, who may import whom."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = {
    requirement.name.lower(): requirement
    for line in (ROOT / "infra/constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
    for requirement in [Requirement(line)]
}
FLOORS = {"torch": "2.10", "transformers": "5.3", "monai": "1.6.1", "mlflow": "3.11", "ray": "2.52", "pillow": "12.3"}
"""Below these lie known ways to run code or to crash by a file."""


@pytest.mark.parametrize("requirement", [Requirement(r) for r in PROJECT["dependencies"]], ids=lambda r: r.name)
def test_constraints_agree_with_what_is_asked_for(requirement: Requirement) -> None:
    pinned = CONSTRAINTS[requirement.name.lower()]
    for part in pinned.specifier:
        if part.operator == "==":
            assert requirement.specifier.contains(part.version), f"{pinned} does not satisfy {requirement}"


@pytest.mark.parametrize(("name", "floor"), list(FLOORS.items()))
def test_what_is_installed_is_above_the_floor(name: str, floor: str) -> None:
    assert Version(version(name)) >= Version(floor)


def test_prefects_server_starts_with_this_fastapi() -> None:
    """`pip check` finds nothing wrong with versions that break it."""
    code = "from prefect.server.api.server import create_app; create_app(ephemeral=True)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_mlflow_is_spoken_to_in_one_module() -> None:
    speakers = {
        file.relative_to(ROOT).as_posix()
        for room in ("flows", "components", "monitoring", "model")
        for file in (ROOT / room).rglob("*.py")
        if "mlflow" in {name.split(".")[0] for name in _imports(file)}
    }
    assert speakers == {"components/tracking.py"}


def test_flow_files_are_short() -> None:
    """Logic belongs to the rooms below. The command line is the one long list."""
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / "flows").glob("*.py")}
    del lengths["cli.py"]
    assert max(lengths.values()) <= 130, lengths


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names
