"""Under real Ray, killed for real: nothing is lost, no step is logged twice, nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from components.training import progress
from components.training.launch import Workers
from components.training.sft import SftConfig, train
from components.training.states import States, verify
from model.vlm import checkpoint as folders
from tests.components import world
from tests.components.test_tracking import history, runs
from tests.components.training import workers
from tests.components.training.test_sft import FolderSaves

ROOT = Path(__file__).parents[3]
PER_EPOCH, STEPS = 2, 24
PATIENCE_S = 240.0
"""A busy machine is slow, not wrong."""


def config_of(root: Path) -> SftConfig:
    return SftConfig(
        base=root / "base",
        data=root / "data",
        out=root / "out",
        results=root / "m.json",
        epochs=STEPS // PER_EPOCH,
        studies=6,
        micro_tokens=300,
        save_every=1,
        lr=1e-2,
        keep=3,
    )


class FirstSaves(FolderSaves):
    def save(self, write, metrics, *, first):
        if first:
            super().save(write, metrics, first=first)


def _undisturbed(rank: int, root: Path) -> None:
    config = config_of(root)
    train(folders.load(config.base), config, Workers(rank, 2), FirstSaves(root / "calm"), None)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    world.checkpoint(tmp_path / "base")
    world.data(tmp_path / "data")
    said = {key: value for key, value in config_of(tmp_path).model_dump(mode="json").items() if key != "mixture_end"}
    said = {key: value for key, value in said.items() if value is not None}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"sft": said}))
    return tmp_path


class Driver:
    """`python -m components.training.sft`, and everything that it started."""

    def __init__(self, place: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.errors = place / "errors.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "components.training.sft"],
            cwd=place,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=self.errors.open("a"),
        )
        self.family: dict[int, psutil.Process] = {}

    def look(self) -> list[psutil.Process]:
        """Its descendants; those seen once are remembered when they have no parent any more."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self.family |= {process.pid: process for process in found}
        return found

    def workers(self) -> list[psutil.Process]:
        return [process for process in self.look() if "RayTrainWorker" in _name(process)]

    def left(self) -> list[str]:
        return [f"{process.pid} {_name(process)}" for process in self.family.values() if _lives(process)]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def until(true: Callable[[], bool], driver: Driver, seconds: float = PATIENCE_S) -> None:
    ends = time.monotonic() + seconds
    while not true():
        driver.look()
        if time.monotonic() > ends:
            pytest.fail(f"waited {seconds:.0f} s; it said: {driver.errors.read_text()[-2000:]}")
        time.sleep(0.02)


def states_of(place: Path) -> States:
    found = sorted((place / ".cache" / "ray").glob("sft-*/states"))
    return States(found[-1] if found else place / "none")


def reached(place: Path, step: int) -> bool:
    last = sorted(states_of(place).folder.glob("step-*"))
    return bool(last) and int(last[-1].name.removeprefix("step-")) >= step


@pytest.fixture
def ended() -> Iterator[list[Driver]]:
    """Drivers of the test; what is left of them when it fails is ended."""
    some: list[Driver] = []
    yield some
    for driver in some:
        driver.look()
        for process in [psutil.Process(driver.process.pid)] if driver.process.poll() is None else []:
            process.kill()
        for process in driver.family.values():
            if _lives(process):
                process.kill()
        driver.process.wait(30)


def test_killed_and_killed_again_it_ends_where_it_would_have(place: Path, ended: list[Driver]) -> None:
    """The driver at an epoch's end, then a worker in mid-run, then the last state damaged and the driver once more."""
    first = Driver(place)
    ended.append(first)
    until(lambda: reached(place, 2 * PER_EPOCH), first)
    second = subprocess.run(
        [sys.executable, "-m", "components.training.sft"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 3, second.stderr
    assert f"found pid {first.process.pid} on" in second.stderr
    first.look()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    until(lambda: not first.left(), first, 60)

    damaged = sorted(states_of(place).folder.glob("step-*"))[-1]
    (damaged / progress.WEIGHTS).write_bytes((damaged / progress.WEIGHTS).read_bytes()[:-1])
    before = int(damaged.name.removeprefix("step-"))
    again = Driver(place)
    ended.append(again)
    until(lambda: reached(place, before + 3), again)
    assert f"{damaged.name}/{progress.WEIGHTS}" in again.errors.read_text()
    killed = again.workers()[-1]
    killed.send_signal(signal.SIGKILL)
    until(lambda: again.process.poll() is not None, again)
    assert again.process.returncode == 0, again.errors.read_text()
    until(lambda: not again.left(), again, 60)

    workers.run(_undisturbed, 2, place)
    calm = progress.load_file(sorted((place / "calm").iterdir())[-1] / progress.WEIGHTS)
    trained = dict(folders.load(place / "out").vlm.named_parameters())
    for name, expected in calm.items():
        assert trained[name].equal(expected), name
    assert not list((place / ".cache" / "ray").glob("sft-*"))  # published: no state is kept
    [run] = runs("sft")
    assert [step for step, _ in history(run, "loss")] == list(range(1, STEPS + 1))
    assert [step for step, _ in history(run, "speed/tokens_per_s")] == list(range(1, STEPS + 1))


def test_a_state_of_a_run_vouches_for_itself(place: Path) -> None:
    """What the run's first worker writes can be verified by anybody."""
    config = config_of(place)

    class Kept(FolderSaves):
        def save(self, write, metrics, *, first):
            verify(States(self.folder).write(write, metrics))

    train(folders.load(config.base), config.model_copy(update={"epochs": 1}), Workers(), Kept(place / "own"), None)
    last = States(place / "own").last(pytest.fail)
    assert last is not None
    assert progress.step_of(last) == PER_EPOCH
