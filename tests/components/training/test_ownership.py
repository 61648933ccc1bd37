"""Real processes: a second driver is refused, a killed one blocks nobody, its workers end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.training import ownership
from components.training.ownership import ORPHANED, beating, follow, sole_driver
from model.interface.errors import Conflict

DRIVER = """
import sys, time
from pathlib import Path
from components.training.ownership import beating, sole_driver
place = Path(sys.argv[1])
with sole_driver(place / "out", "sft"), beating(place / "driver.txt"):
    print("holds", flush=True)
    time.sleep(600)
"""
WORKER = """
import sys, time
from pathlib import Path
from components.training.ownership import follow
follow(Path(sys.argv[1]) / "driver.txt")
print("follows", flush=True)
time.sleep(600)
"""


def start(code: str, place: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, str(place)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def ended(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(30)


def test_a_second_driver_is_refused_at_once_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out"
    driver = start(DRIVER, tmp_path)
    began = time.monotonic()
    with pytest.raises(Conflict, match=r"another process is training .*out") as refused, sole_driver(out, "sft"):
        pytest.fail("two drivers on one run")
    assert time.monotonic() - began < 1
    assert f"found sft, pid {driver.pid} on " in refused.value.where
    assert refused.value.exit_code == 3
    with sole_driver(tmp_path / "other", "sft"):  # another output is another run
        pass
    driver.send_signal(signal.SIGKILL)
    ended(driver)
    with sole_driver(out, "sft"):
        assert f"pid {os.getpid()} on " in (tmp_path / ".out.owner").read_text()
    with sole_driver(out, "sft"):  # let go of again
        pass


def test_an_output_has_one_driver_whatever_its_stage_and_however_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with sole_driver(tmp_path / "out", "sft"):
        for same in (Path("out"), tmp_path / "link" / "out"):
            with pytest.raises(Conflict, match="another process"), sole_driver(same, "rl"):
                pytest.fail("two drivers on one output")
    assert not (tmp_path / "out").exists()  # the lock is beside it, never in it


def test_a_worker_ends_when_its_driver_is_killed(tmp_path: Path) -> None:
    driver = start(DRIVER, tmp_path)
    worker = start(WORKER, tmp_path)
    time.sleep(2.5 * ownership.BEAT_S)
    assert worker.poll() is None
    driver.send_signal(signal.SIGKILL)
    ended(driver)
    began = time.monotonic()
    assert ended(worker) == ORPHANED
    assert time.monotonic() - began < 10


def test_a_worker_of_an_earlier_driver_ends_when_the_next_one_starts(tmp_path: Path) -> None:
    """However alive the earlier one seems: a beat of another is the end."""
    left = []
    with beating(tmp_path / "driver.txt"):
        follow(tmp_path / "driver.txt", lambda: left.append(True))
        time.sleep(2.5 * ownership.BEAT_S)
        assert not left
    with beating(tmp_path / "driver.txt"):
        time.sleep(3 * ownership.BEAT_S)
    assert left


def test_a_worker_ends_when_nothing_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "SILENT_S", 3.0)
    left = []
    with beating(tmp_path / "driver.txt"):
        follow(tmp_path / "driver.txt", lambda: left.append(True))
        time.sleep(2.0)
        assert not left
    time.sleep(6.0)
    assert left


def test_a_beat_that_cannot_be_written_is_followed_by_the_next(tmp_path: Path) -> None:
    place, away = tmp_path / "states", tmp_path / "away"
    place.mkdir()
    with beating(place / "driver.txt"):
        place.rename(away)  # a network's file system that is gone for a while
        time.sleep(2.5 * ownership.BEAT_S)
        away.rename(place)
        before = (place / "driver.txt").read_text()
        time.sleep(2.5 * ownership.BEAT_S)
        assert (place / "driver.txt").read_text() != before
