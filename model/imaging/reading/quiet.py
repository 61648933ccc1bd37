"""C libraries kept from printing what they think of a file: what is wrong with it is told once, by our own error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing reaches stdout or stderr, not of code in C either. Of the whole process: keep it short."""
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
        for number in (*kept, nowhere):
            os.close(number)
