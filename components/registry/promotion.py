"""Who is champion: compare-and-set under a lock, and the way back.

MLflow lets two writers set an alias, and the last one wins. Here a promotion says which champion it
expects to replace, and of two that raced the second is refused. The lock is a file, so it holds
between processes that share `.urm`, not between machines.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout

from components import environment, tracking
from components.registry.versions import CHAMPION, MODEL, PREVIOUS, aliases
from model.interface.errors import BadInput, Conflict

WAIT_S = 60.0
ROLLED_BACK = "rolled_back"
"""Tag of a version, "yes" from a roll-back until somebody promotes it."""


@dataclass(frozen=True, slots=True)
class Change:
    champion: int
    previous: int | None
    """Where a roll-back leads."""


def promote(version: int, expect: int | None) -> Change:
    """Make a version champion, provided the champion is still `expect` (None: there is none).

    The old champion becomes `previous`. Promoting the champion again changes nothing. Raises BadInput where
    there is no such version.
    """
    with _lock():
        tracking.version_tags(MODEL, version)  # raises where there is none, before an alias moves
        known = aliases()
        current = known.get(CHAMPION)
        if current == version:
            return Change(version, known.get(PREVIOUS))
        if current != expect:
            raise _changed(expect, current)
        if current is not None:
            tracking.set_alias(MODEL, PREVIOUS, current)
        tracking.set_alias(MODEL, CHAMPION, version)
        tracking.tag_version(MODEL, version, {ROLLED_BACK: "no"})
        return Change(version, current)


def roll_back(expect: int | None = None) -> Change:
    """Champion and previous change places: rolling back twice is where it began.

    Whoever is rolled back is not promoted again by a flow, only by hand.
    expect: refuse when the champion is another; None takes whoever it is.
    """
    with _lock():
        known = aliases()
        current, previous = known.get(CHAMPION), known.get(PREVIOUS)
        if current is None or previous is None:
            raise BadInput("no previous champion to go back to", where=f"model registry, {MODEL}", next="urm demo")
        if expect is not None and current != expect:
            raise _changed(expect, current)
        tracking.tag_version(MODEL, current, {ROLLED_BACK: "yes"})
        tracking.tag_version(MODEL, previous, {ROLLED_BACK: "no"})
        tracking.set_alias(MODEL, CHAMPION, previous)
        tracking.set_alias(MODEL, PREVIOUS, current)
        return Change(previous, current)


def was_rolled_back(version: int) -> bool:
    return tracking.version_tags(MODEL, version).get(ROLLED_BACK) == "yes"


@contextmanager
def _lock() -> Iterator[None]:
    file = environment.home() / "registry.lock"
    try:
        with FileLock(file, timeout=WAIT_S):
            yield
    except Timeout as error:
        raise Conflict(
            f"somebody has been changing the registry for {WAIT_S:.0f} s",
            where=str(file),
            next="see who holds it, and run the same command again",
        ) from error


def _changed(expect: int | None, current: int | None) -> Conflict:
    def name(version: int | None) -> str:
        return "nobody" if version is None else f"v{version}"

    return Conflict(
        f"champion changed from {name(expect)} to {name(current)}",
        where=f"model registry, {MODEL}@{CHAMPION}",
        next="look at the new champion, then promote against it",
    )
