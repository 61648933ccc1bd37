"""DVC's stages as the flow sees them: in what order, and one at a time.

dvc.yaml is the only graph. DVC decides what is up to date; no stage knows that a flow called it.
"""

import os
import re
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from threading import Timer
from typing import Literal

from model.interface.errors import BadInput, Conflict, Failure, Integrity, TryAgain

Outcome = Literal["ran", "up to date"]
STAGE_TIMEOUT_S = 4 * 3600.0
CHATTER = ("To track the changes", "To enable auto staging", "Use `dvc push`", "git add", "dvc config", "Data and pip")
"""What DVC advises after each stage."""
REMEMBERED = 40
"""Last lines looked at for what went wrong."""


def plan(file: str = "dvc.yaml") -> list[str]:
    """Names of the stages of a dvc.yaml, each after what it needs."""
    import networkx
    from dvc.repo import Repo

    with Repo(".") as repo:
        stages = networkx.topological_sort(repo.index.graph.reverse())
        return [stage.addressing for stage in stages if stage.path_in_repo == file]


def changed(file: str) -> list[str]:
    """Those of its stages that aren't up to date, each after what it needs."""
    from dvc.repo import Repo

    with Repo(".") as repo:
        out_of_date = repo.status(targets=[file])
    return [name for name in plan(file) if name in out_of_date]


def reproduce(stage: str, timeout_s: float = STAGE_TIMEOUT_S, *, upstream: bool = False) -> Outcome:
    """`dvc repro` of one stage; what it says goes to stderr as it comes.

    The stage and everything it started end with this call, however it ends.
    upstream: also of all it needs.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *([] if upstream else ["--single-item"]), stage]
    unchanged, tail = False, deque[str](maxlen=REMEMBERED)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=_environment()
    ) as process:
        timer = Timer(timeout_s, os.killpg, (process.pid, signal.SIGTERM))
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() and not line.strip().startswith(CHATTER):
                    sys.stderr.write(line)
                tail.append(line.strip())
                unchanged = unchanged or line.startswith(f"Stage '{stage}' didn't change")
            process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
    if process.returncode:
        raise _failed(stage, list(tail))
    return "up to date" if unchanged else "ran"


def _environment() -> dict[str, str]:
    """dvc.yaml says `python`: that must be the one running this."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def _failed(stage: str, tail: list[str]) -> Failure:
    """The stage's own error, with its exit code if DVC tells it."""
    code = next((int(found[1]) for line in reversed(tail) if (found := re.search(r"exited with (-?\d+)", line))), 1)
    kind = {kind.exit_code: kind for kind in (BadInput, Conflict, Integrity, TryAgain)}.get(code, Failure)
    ours = [line.removeprefix("error: ") for line in tail if line.startswith("error: ")]
    others = [line for line in tail if line and not line.startswith("ERROR: failed to reproduce")]
    return kind(
        f"stage '{stage}' failed: {[*ours[:1], *others[-1:], 'it said nothing'][0][:200]}",
        where=f"dvc.yaml, stages.{stage}; its own words are above",
        safe="stages done before are kept; a training goes on from its last checkpoint",
        next=f"dvc repro {stage}",
    )
