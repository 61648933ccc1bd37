"""The errors a user can meet, and how each is told: four lines, one exit code.

    Failure                 1   what was asked can't be done
    ├── BadInput            2   a file, a question or a parameter is not usable
    ├── Conflict            3   somebody else got there first (alias moved, lock held)
    ├── Integrity           4   bytes are not the bytes that were written
    └── TryAgain           75   a service did not answer; the same command may work later

A bad *model output* is never an error: it is a `Flaw` in the trace.
"""

from typing import Any


class Failure(Exception):
    """What went wrong, where, what is safe, and what to do next. Never holds file contents."""

    exit_code = 1

    def __init__(self, what: str, *, where: str, next: str, safe: str = "nothing was changed") -> None:
        super().__init__(what)
        self.what, self.where, self.safe, self.next = what, where, safe, next

    def __reduce__(self) -> tuple[Any, ...]:
        """So that it can come back from another process."""
        return _again, (type(self), self.what, self.where, self.safe, self.next)

    def render(self) -> str:
        """The four lines printed on stderr."""
        return f"error: {self.what}\n  where: {self.where}\n  safe: {self.safe}\n  next: {self.next}"


def _again(kind: type[Failure], what: str, where: str, safe: str, next: str) -> Failure:
    return kind(what, where=where, safe=safe, next=next)


class BadInput(Failure):
    exit_code = 2


class Conflict(Failure):
    exit_code = 3


class Integrity(Failure):
    exit_code = 4


class TryAgain(Failure):
    exit_code = 75
