"""Whose run it is: one driver an output, and workers that end when their driver is gone.

The driver holds a lock beside its output, whatever its stage, profile or working folder: who would write the same is
refused, who writes elsewhere is not. The kernel lets go of it however the driver ends, so a killed one blocks nobody.
The driver also writes a beat beside the states, once a second. A worker that reads another driver's beat, or none that
is new for a minute, ends at once: states are written whole or not at all, so nothing has to be put away. No clocks of
two machines are compared.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from model.interface.errors import Conflict

BEAT_S = 1.0
SILENT_S = 60.0
"""How long a driver may be unheard of: a network's file system has its delays."""
ORPHANED = 70
"""Exit code of a worker whose driver is gone."""


@contextmanager
def sole_driver(out: Path, stage: str) -> Iterator[None]:
    """Raises Conflict where another process, here or on a machine that shares the folder, trains what goes to `out`."""
    place = out.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(place.with_name(f".{place.name}.lock")), place.with_name(f".{place.name}.owner")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        told = owner.read_text().strip() if owner.exists() else "one that has just started"
        raise Conflict(
            f"another process is training {out}",
            where=f"{out.parent / owner.name}: found {told}, wanted none",
            safe="nothing was changed",
            next="wait for it, or end it and run the same command: it goes on from the last state; or name another out",
        ) from error
    try:
        owner.write_text(f"{stage}, pid {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        lock.release()


@contextmanager
def beating(beat: Path) -> Iterator[None]:
    """Write the driver's beat for the length of the block."""
    token, done = uuid.uuid4().hex, threading.Event()

    def told(count: int) -> None:
        part = beat.with_suffix(".part")
        part.write_text(f"{token} {socket.gethostname()} {os.getpid()} {count}")
        part.replace(beat)

    def on() -> None:
        count = 1
        while not done.wait(BEAT_S):
            count += 1
            with suppress(OSError):  # one beat that couldn't be written is only late: workers wait for the next
                told(count)

    told(0)
    thread = threading.Thread(target=on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def follow(beat: Path, leave: Callable[[], object] = lambda: os._exit(ORPHANED)) -> None:
    """In a worker: watch the beat from a thread, and leave when it is no longer this driver's."""
    first = beat.read_text()

    def on() -> None:
        heard, seen = time.monotonic(), first
        while True:
            time.sleep(BEAT_S)
            try:
                now = beat.read_text()
            except OSError:
                now = seen
            if now != seen:
                heard, seen = time.monotonic(), now
            if _gone(first, now) or time.monotonic() - heard > SILENT_S:
                leave()
                return

    threading.Thread(target=on, daemon=True).start()


def _gone(first: str, now: str) -> bool:
    """Another driver's beat, or one of a process that isn't there any more."""
    token, host, pid, _ = first.split()
    if now.split()[0] != token:
        return True
    return host == socket.gethostname() and not Path(f"/proc/{pid}").exists() and Path("/proc").exists()
