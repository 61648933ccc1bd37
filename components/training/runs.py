"""Where runs are kept until they have published: a folder a run, those of one output found by their names.

    .cache/ray/sft-3f9a0c12-8d1e…     stage, output, and what makes the training what it is (`launch.run_key`)

What an interrupted run has learnt is not another's to remove: params changed and changed back, it goes on. Its folder
goes when a run of the same output has published; or, so that a disk doesn't fill, when `OTHERS` others of that output
were interrupted after it. So an output never has more than `OTHERS` + 1 folders, of `keep` states each and the best.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

OTHERS = 2
"""Interrupted runs of an output that are kept beside the one that trains."""
GONE = ".gone-"


def output(storage: Path, out: Path) -> str:
    """What an output is called, 8 hex digits: the same for all who share both folders, wherever they see them."""
    return hashlib.sha256(os.path.relpath(out.resolve(), storage.resolve()).encode()).hexdigest()[:8]


def begin(run: Path, say: Callable[[str], None]) -> None:
    """Make a run's folder, or find it; the oldest others of its output go, where there are too many."""
    run.mkdir(parents=True, exist_ok=True)
    for left in run.parent.glob(f"{GONE}{_shared(run)}-*"):
        shutil.rmtree(left)
    for old in _others(run)[OTHERS:]:
        say(f"{old.name} is removed: {OTHERS} other trainings of {_shared(run)} were interrupted after it")
        _remove(old)


def published(run: Path) -> None:
    """Remove a run and the others of its output, which holds something newer now."""
    for one in [*_others(run), run]:  # itself last: it is found finished after a kill, and publishes again
        _remove(one)


def _others(run: Path) -> list[Path]:
    """Of the same output, the last that wrote a state first."""
    return sorted((one for one in run.parent.glob(f"{_shared(run)}-*") if one != run), key=_age, reverse=True)


def _shared(run: Path) -> str:
    """What the names of an output's runs begin with."""
    return run.name.rpartition("-")[0]


def _age(run: Path) -> float:
    return max(path.stat().st_mtime for path in [run, *run.glob("states")])


def _remove(run: Path) -> None:
    """Out of the runs first: one that is half removed is none."""
    shutil.rmtree(run.rename(run.with_name(f"{GONE}{run.name}")))
