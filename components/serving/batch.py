"""Questions about every file of a folder, by several processes; a line of JSON a file.

    python -m components.serving.batch scans/ answers.jsonl "Is a lesion seen?" --option Yes --option No

Each process opens the checkpoint once and reads each study once, whatever is asked of it. A file that can't be read is
a line that says why, and the next one is read. A line is known by its place among the folder's files in order of name,
because names are in no result. Splits of shards are answered by `components.evaluation.run`.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

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

_engine: Any = None
_calibration: Any = None
"""Of this process."""


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


def over_folder(
    folder: Path,
    checkpoint: Path,
    asked: Sequence[Asked],
    *,
    declared: Declared | None = None,
    calibration: Path | None = None,
    workers: int = 1,
    threads: int = 1,
) -> Iterator[Line]:
    """In order of name. calibration: its file, if there is one; threads: of each worker.

    Raises BadInput where there is nothing to ask about, or no calibration in its file.
    """
    read_calibration(calibration)  # before any process starts
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if not files or not asked:
        raise BadInput(
            "there is nothing to ask about",
            where=f"{folder.name}: found {len(files)} files and {len(asked)} questions, wanted at least one of each",
            next="give a folder with one study a file (a DICOM series is a folder of its own), and a question",
        )
    with ProcessPoolExecutor(workers, get_context("spawn"), open_engine, (checkpoint, threads, calibration)) as pool:
        waiting = [pool.submit(answer_file, i, file, tuple(asked), declared) for i, file in enumerate(files)]
        for line in waiting:
            yield line.result()


def open_engine(checkpoint: Path, threads: int, calibration: Path | None) -> None:
    """Before a process answers its first file."""
    global _engine, _calibration
    import torch

    from model.vlm import checkpoint as folders
    from model.vlm.engine import Engine
    from model.vlm.features import Features

    torch.set_num_threads(threads)
    _engine = Engine(folders.load(checkpoint), features=Features(0), studies=1)
    _calibration = read_calibration(calibration)


def answer_file(place: int, file: Path, asked: Sequence[Asked], declared: Declared | None) -> Line:
    from model.imaging.prepare import prepare

    try:
        volume, questions = questions_about(file, asked, declared)
        given = answers(_engine, prepare(volume, _engine.checkpoint.contract), questions, _calibration)
    except Failure as failure:
        return Line(place, [], [], {"what": failure.what, "next": failure.next})
    return Line(place, [trace.to_json() for trace, _ in given], [sure.to_json() for _, sure in given])


def command(
    folder: Path,
    out: Path,
    question: str,
    option: Annotated[list[str], typer.Option(help="repeat for each")] = [],  # noqa: B006
    checkpoint: Annotated[Path, typer.Option()] = Path("checkpoints/rl"),
    workers: Annotated[int, typer.Option(min=1)] = 1,
    modality: Annotated[str | None, typer.Option(help="CT or MR where the files don't say")] = None,
    calibration: Annotated[Path, typer.Option(help="what stage `confidence` wrote")] = CALIBRATION,
) -> None:
    """Ask one question about every file of a folder."""
    environment.settle()
    asked, declared = [(question, tuple(option))], Declared(modality)
    failed = 0
    try:
        with replacing(out) as part, part.open("w", encoding="utf-8") as lines:
            for line in over_folder(
                folder, checkpoint, asked, declared=declared, calibration=calibration, workers=workers
            ):
                failed += line.error is not None
                lines.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        raise typer.Exit(failure.exit_code) from None
    sys.stderr.write(f"batch: {failed} files could not be read\n" * bool(failed))


if __name__ == "__main__":
    typer.run(command)
