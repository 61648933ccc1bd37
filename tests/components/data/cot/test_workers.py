"""Workers don't outlive a build that is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.data.cot.workers import EVERY_S, pool
from model.interface.errors import TryAgain

STARTED = """
import os, time
from components.data.cot.workers import pool
with pool(2) as some:
    first = [some.submit(time.sleep, 0.2) for _ in range(2)]
    print(*some._processes, flush=True)
    time.sleep(60)
"""


def test_what_is_given_comes_back_in_order():
    with pool(2) as some:
        assert list(some.map(abs, range(-4, 0))) == [4, 3, 2, 1]


def test_a_worker_that_is_killed_is_told_with_what_to_do():
    with pytest.raises(TryAgain, match="worker process ended") as caught, pool(2) as some:
        some.submit(os._exit, 9).result()
    assert "fewer --workers" in caught.value.next


def test_workers_end_with_a_parent_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", STARTED], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert workers
        assert all(map(is_running, workers))
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 40 * EVERY_S
    while any(map(is_running, workers)) and time.monotonic() < until:
        time.sleep(EVERY_S / 5)
    assert not any(map(is_running, workers))


def is_running(process: int) -> bool:
    """There, and not only waiting to be counted as gone."""
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
