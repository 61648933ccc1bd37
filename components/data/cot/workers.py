"""Processes that make or check shards, and end when whoever started them does, however it ends."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread

from model.interface.errors import TryAgain

EVERY_S = 0.5


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """workers: processes. Raises TryAgain where one of them is killed."""
    try:
        with ProcessPoolExecutor(workers, initializer=_watch, initargs=(os.getpid(),)) as found:
            yield found
    except BrokenProcessPool as error:
        raise TryAgain(
            "a worker process ended before its work was done",
            where=f"--workers, found {workers}, wanted as many as the memory holds",
            safe="shards that are made are kept",
            next="the same command with fewer --workers: it goes on where it stopped",
        ) from error


def _watch(parent: int) -> None:
    """A killed parent closes no pipe that its other children hold open: without this they would wait forever.

    Ctrl-C is the parent's to answer.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY_S)
        os._exit(1)

    Thread(target=wait, daemon=True).start()
