"""Processes that make or check shards, and end when whoever started them does, however it ends."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread

EVERY_S = 0.5


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """workers: processes."""
    with ProcessPoolExecutor(workers, initializer=_watch, initargs=(os.getpid(),)) as found:
        yield found


def _watch(parent: int) -> None:
    """A killed parent closes no pipe that its other children hold open: without this they would wait forever."""

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY_S)
        os._exit(1)

    Thread(target=wait, daemon=True).start()
