"""Questions about every file of a folder, by several processes or machines; a line of JSON a file.

    python -m components.serving.batch scans/ answers.jsonl "Is a lesion seen?" --option Yes --option No
    python -m components.serving.batch … --on ray --workers 8 --gpus 0.5

Each worker opens the checkpoint once and reads each study once, whatever is asked of it. A file that can't be read is
a line that says why, and the next one is read. A line is known by its place among the folder's files in order of name,
because names are in no result. Splits of shards are answered by `components.evaluation.run`.
"""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from components import environment
from components.serving.ask import questions_about
from components.serving.grounding import answers, read_calibration
from model.imaging.reading.declared import Declared
from model.interface.errors import BadInput, Failure
from model.interface.writing import replacing

Asked = tuple[str, tuple[str, ...]]
"""A question's text and its options."""
CALIBRATION = Path("results/confidence/calibration.json")


@dataclass(frozen=True, slots=True)
class Line:
    place: int
    """Among the folder's files, in order of name, from 0."""
    traces: list[dict[str, Any]]
    """One a question; none where the file couldn't be read."""
    groundings: list[dict[str, Any]]
    """How sure each is of where it points, see `Grounding`."""
    error: dict[str, str] | None = None
    """What went wrong and what to do next, without the file's name."""


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker is told."""

    checkpoint: Path
    asked: tuple[Asked, ...]
    declared: Declared | None = None
    calibration: Path | None = None
    """Its file, if there is one."""
    threads: int = 1
    """Of each worker."""
    gpus: float = 0
    """Of each worker, on a cluster; where any, its engine is on the GPU."""


class Answerer:
    """An engine, and what to ask of it; one a worker."""

    def __init__(self, job: Job) -> None:
        import torch

        from model.vlm import checkpoint as folders
        from model.vlm.engine import Engine
        from model.vlm.features import Features

        torch.set_num_threads(job.threads)
        self.job, self.calibration = job, read_calibration(job.calibration)
        checkpoint = folders.load(job.checkpoint, "cuda" if job.gpus else "cpu")
        self.engine = Engine(checkpoint, features=Features(0), studies=1)

    def __call__(self, place: int, file: Path) -> Line:
        from model.imaging.prepare import prepare

        try:
            volume, questions = questions_about(file, self.job.asked, self.job.declared)
            prepared = prepare(volume, self.engine.checkpoint.contract)
            given = answers(self.engine, prepared, questions, self.calibration)
        except Failure as failure:
            return Line(place, [], [], {"what": failure.what, "next": failure.next})
        return Line(place, [trace.to_json() for trace, _ in given], [sure.to_json() for _, sure in given])


def over_folder(
    folder: Path, job: Job, *, workers: int = 1, on: Literal["processes", "ray"] = "processes"
) -> Iterator[Line]:
    """In order of name. on: processes of this machine, or a Ray cluster, whose every machine can read the folder.

    Raises BadInput where there is nothing to ask about, or no calibration in its file.
    """
    read_calibration(job.calibration)  # before any worker starts
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if not files or not job.asked:
        raise BadInput(
            "there is nothing to ask about",
            where=f"{folder.name}: found {len(files)} files and {len(job.asked)} questions, wanted at least one each",
            next="give a folder with one study a file (a DICOM series is a folder of its own), and a question",
        )
    if on == "ray":
        from components.pooled import pooled

        job = replace(
            job, checkpoint=job.checkpoint.resolve(), calibration=job.calibration and job.calibration.resolve()
        )
        named = list(enumerate(file.resolve() for file in files))
        yield from pooled(named, partial(_engine, job), workers=workers, threads=job.threads, gpus=job.gpus)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (job,)) as pool:
        waiting = [pool.submit(_answer, i, file) for i, file in enumerate(files)]
        for line in waiting:
            yield line.result()


def _engine(job: Job) -> Callable[[tuple[int, Path]], Line]:
    """Of a worker on a cluster."""
    answerer = Answerer(job)
    return lambda named: answerer(*named)


_answerer: Answerer | None = None
"""Of this process."""


def _begin(job: Job) -> None:
    global _answerer
    _answerer = Answerer(job)


def _answer(place: int, file: Path) -> Line:
    assert _answerer
    return _answerer(place, file)


def command(
    folder: Path,
    out: Path,
    question: str,
    option: Annotated[list[str], typer.Option(help="repeat for each")] = [],  # noqa: B006
    checkpoint: Annotated[Path, typer.Option()] = Path("checkpoints/rl"),
    workers: Annotated[int, typer.Option(min=1)] = 1,
    modality: Annotated[str | None, typer.Option(help="CT or MR where the files don't say")] = None,
    calibration: Annotated[Path, typer.Option(help="what stage `confidence` wrote")] = CALIBRATION,
    on: Annotated[Literal["processes", "ray"], typer.Option(help="of this machine, or of a cluster")] = "processes",
    gpus: Annotated[float, typer.Option(min=0, help="of each worker on a cluster, parts of one too")] = 0,
) -> None:
    """Ask one question about every file of a folder."""
    environment.settle()
    job = Job(checkpoint, ((question, tuple(option)),), Declared(modality), calibration, gpus=gpus)
    failed = 0
    try:
        with replacing(out) as part, part.open("w", encoding="utf-8") as lines:
            for line in over_folder(folder, job, workers=workers, on=on):
                failed += line.error is not None
                lines.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        raise typer.Exit(failure.exit_code) from None
    sys.stderr.write(f"batch: {failed} files could not be read\n" * bool(failed))


if __name__ == "__main__":
    typer.run(command)
