"""Trainings as a user starts them, `python -m components.training.STAGE`, to be killed for real."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from components.training.config import TrainingConfig
from components.training.states import States

ROOT = Path(__file__).parents[3]
PATIENCE_S = 400.0
"""A busy machine is slow, not wrong."""
WORKER = "RayTrainWorker"


class Driver:
    """A training, and every process that it started, on a cluster of its own or on one that it joined."""

    def __init__(self, stage: str, place: Path, config: TrainingConfig) -> None:
        said = {name: value for name, value in config.model_dump(mode="json").items() if value is not None}
        (place / "params.yaml").write_text(yaml.safe_dump({stage: said}))
        self.place, self.stage, self.errors = place, stage, place / "errors.txt"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", f"components.training.{stage}"]
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(command, cwd=place, env=environment, stdout=errors, stderr=errors)
        self.family: dict[int, psutil.Process] = {}

    def look(self) -> list[psutil.Process]:
        """Its descendants and its workers; those seen once are remembered when they have no parent any more."""
        mine = {p.pid: p for p in _children(self.process.pid)}
        mine |= {p.pid: p for p in _children(os.getpid()) if WORKER in name(p)}
        self.family |= mine
        return list(mine.values())

    def workers(self) -> list[psutil.Process]:
        return [process for process in self.look() if WORKER in name(process)]

    def left(self) -> list[str]:
        return [f"{process.pid} {name(process)[:60].strip()}" for process in self.family.values() if lives(process)]

    def until(self, true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait, but not for a driver that failed; one that was killed may be waited for."""
        ends = time.monotonic() + seconds
        while not true():
            self.look()
            if time.monotonic() > ends or (self.process.poll() or 0) > 0:
                told = f"left {self.left()}, exit code {self.process.poll()}; it said: {self.said()[-3000:]}"
                pytest.fail(f"waited in vain: {told}")
            time.sleep(0.1)

    def kill(self) -> None:
        """The driver alone, as the kernel does it; returns when its workers have left."""
        self.look()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        ends = time.monotonic() + PATIENCE_S
        while any(WORKER in left for left in self.left()):
            assert time.monotonic() < ends, self.left()
            time.sleep(0.1)

    def said(self) -> str:
        """By all drivers of the place."""
        return self.errors.read_text()

    def states(self) -> States:
        found = list((self.place / ".cache" / "ray").glob(f"{self.stage}-*/driver.txt"))
        return States(found[0].parent / "states" if found else self.place / "none")

    def step(self) -> int:
        """Of its last state."""
        steps = [int(place.name.removeprefix("step-")) for place in self.states().folder.glob("step-*")]
        return max(steps, default=0)

    def end(self) -> None:
        """What is left when a test fails."""
        self.look()
        for process in self.family.values():
            if lives(process):
                process.kill()
        self.process.kill()
        self.process.wait(30)


def name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
