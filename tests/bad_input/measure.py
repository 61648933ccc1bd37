"""Run every case of the catalogue, each in a forked child of one process, and tell what happened.

    python -m tests.bad_input.measure        a line of JSON a case

What a case's reader imports is loaded before, so that the child's time and memory are the input's own. Memory is
VmHWM, which a fork sets to what is resident then.
"""

import importlib
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from components import environment
from model.interface.errors import Failure
from tests.bad_input.case import READ, REFUSED, WARNED, Case
from tests.bad_input.catalogue import CASES
from tests.model.imaging.reading.dicoms import CANARY

LONGEST_CPU_S, LARGEST_MIB = 2, 300
NO_FILE = ("question", "options", "question and options", "--override")
"""Where a fault may lie but in a file."""
STUCK_S = 60
"""Of waiting and of CPU: then a child is ended."""


@dataclass(frozen=True)
class Outcome:
    name: str
    verdict: str
    """One of case's; "crashed" where anything else was raised."""
    told: Sequence[str]
    """The four lines of a refusal, or the warnings."""
    error: str
    """Class of what was raised."""
    printed: str
    """By libraries, on stdout and stderr."""
    left: Sequence[str]
    """Names in the temporary folder."""
    files: Sequence[str]
    """Names of what was opened, and of what is in it."""
    cpu_s: float
    mib: float
    """Above idle."""


def outcomes(cases: list[Case]) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="bad-input-") as scratch:
        for k, case in enumerate(cases):
            place = Path(scratch) / CANARY / str(k)  # a path that is told anywhere is seen
            (place / "input").mkdir(parents=True)
            (place / "tmp").mkdir()
            for module in case.opener.needs:
                importlib.import_module(module)
            path = Path(_in_a_child(lambda case=case, place=place: str(case.build(place / "input")), place))
            try:
                row = json.loads(_in_a_child(lambda case=case, path=path: json.dumps(_opened(case, path)), place))
            except ChildProcessError as error:
                row = {"verdict": "crashed", "told": (), "error": str(error), "cpu_s": STUCK_S, "mib": 0}
            printed = "".join((place / name).read_text(errors="replace") for name in ("stdout", "stderr"))
            left = tuple(sorted(p.name for p in (place / "tmp").iterdir()))
            files = (path.name, *sorted(p.name for p in path.rglob("*")))
            yield Outcome(case.name, printed=printed, left=left, files=files, **row)
            shutil.rmtree(place)


def wrong(case: Case, outcome: Outcome) -> list[str]:
    """What is not as it should be, [] of a right verdict rightly told."""
    whole = "\n".join(outcome.told)
    found = [f"verdict {outcome.verdict} ({outcome.error}), wanted {case.verdict}"] * (outcome.verdict != case.verdict)
    found += [f"not told: {word}" for word in case.words if word not in whole]
    if outcome.verdict == REFUSED:
        found += _wrong_refusal(outcome)
    found += ["a patient's text or a path is told"] * (CANARY in whole or tempfile.gettempdir() in whole)
    found += [f"printed: {outcome.printed[:400]}"] * bool(outcome.printed)
    found += [f"left in the temporary folder: {', '.join(outcome.left)}"] * bool(outcome.left)
    found += [f"{outcome.cpu_s:.1f} s of CPU, wanted up to {LONGEST_CPU_S}"] * (outcome.cpu_s > LONGEST_CPU_S)
    found += [f"{outcome.mib:.0f} MiB above idle, wanted up to {LARGEST_MIB}"] * (outcome.mib > LARGEST_MIB)
    return found


def _wrong_refusal(outcome: Outcome) -> list[str]:
    """Four lines: what; file, field, found and wanted; what is safe; what next."""
    told = outcome.told
    if len(told) != 4:
        return [f"{len(told)} lines, wanted 4"]
    heads = ("error: ", "  where: ", "  safe: ", "  next: ")
    found = [f"line without {head!r}" for head, line in zip(heads, told, strict=True) if not line.startswith(head)]
    if not re.fullmatch(r"  where: [^:]+[:,] found .+, wanted .+", told[1], re.DOTALL):
        found.append(f"not of the form 'file, field: found …, wanted …': {told[1]}")
    place = re.split("[,:]", told[1].removeprefix("  where: "))[0]
    if place not in NO_FILE and not {*place.split("/")} & {*outcome.files}:
        found.append(f"no file named: {told[1]}")
    return found


def _opened(case: Case, path: Path) -> dict:
    """What the reader says of it, in this process."""
    warnings.simplefilter("always")
    before_mib, begin = _peak_mib(), _cpu_s()
    verdict, told, error = "crashed", [], ""
    try:
        told = list(case.opener.open(path))
        verdict = WARNED if told else READ
    except Failure as failure:
        verdict, told, error = REFUSED, failure.render().splitlines(), type(failure).__name__
    except BaseException as failure:
        error = f"{type(failure).__name__}: {failure}"[:300]
    return {
        "verdict": verdict, "told": told, "error": error,
        "cpu_s": round(_cpu_s() - begin, 3), "mib": round(_peak_mib() - before_mib, 1),
    }  # fmt: skip


def _in_a_child(work: Callable[[], str], place: Path) -> str:
    """What `work` returns in a fork of this process, in the folder of its input, its temporary files kept apart."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(place / "input")
        tempfile.tempdir = str(place / "tmp")
        os.environ["TMPDIR"] = tempfile.tempdir
        resource.setrlimit(resource.RLIMIT_CPU, (STUCK_S, STUCK_S))
        signal.alarm(STUCK_S)
        status = 1
        try:
            with os.fdopen(writing, "w") as pipe:
                pipe.write(work())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise ChildProcessError(f"a child ended with {status}: {(place / 'stderr').read_text()}")
    return said


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak_mib() -> float:
    """Most memory this process had resident."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # pyright: ignore[reportOptionalSubscript]


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    environment.settle()  # as the command line does: it keeps libraries quiet
    for outcome in outcomes(CASES):
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
