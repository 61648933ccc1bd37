"""A budget of calls, counted in a file: one for all threads and processes of a run, also after it was stopped.

A call is counted before it is made, so that one that is killed leaves none uncounted.
"""

import json
from pathlib import Path

from filelock import FileLock

from model.interface.writing import write_text

POLL_S = 0.005
"""A call takes far longer than the wait for another's turn."""


class Calls:
    """file: {"run": which run counts here, "made": calls}."""

    def __init__(self, file: Path, most: int) -> None:
        self.file, self.most = file, most

    def begin(self, run: str) -> None:
        """Go on counting where this run was stopped; another run starts at none."""
        with self._lock():
            if self._told()["run"] != run:
                self._tell(run, 0)

    def spend(self) -> bool:
        """Whether one more may be made; it is counted then."""
        with self._lock():
            told = self._told()
            if told["made"] >= self.most:
                return False
            self._tell(told["run"], told["made"] + 1)
            return True

    @property
    def made(self) -> int:
        return self._told()["made"]

    def _lock(self) -> FileLock:
        return FileLock(self.file.with_name(f"{self.file.name}.lock"), poll_interval=POLL_S)

    def _told(self) -> dict:
        return json.loads(self.file.read_text()) if self.file.exists() else {"run": "", "made": 0}

    def _tell(self, run: str, made: int) -> None:
        write_text(self.file, json.dumps({"run": run, "made": made}) + "\n")
