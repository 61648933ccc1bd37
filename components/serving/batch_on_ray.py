"""A folder's files over the machines of a cluster: Ray Data, with a pool of engines.

Each engine is an actor with as many CPUs as it has threads and its share of a GPU, so that several small models share
one. A file is a row; rows come back in any order and are handed on in theirs.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from components.cluster import cluster
from components.serving.batch import Answerer, Job, Line

Rows = dict[str, np.ndarray]


def over_cluster(files: Sequence[Path], job: Job, engines: int) -> Iterator[Line]:
    """In the order given. Every machine must see files, checkpoint and calibration at these places."""
    there = replace(job, checkpoint=job.checkpoint.resolve(), calibration=job.calibration and job.calibration.resolve())
    with cluster(num_cpus=engines * job.threads + 1):  # one for Ray Data's own tasks
        import ray.data

        quiet = ray.data.DataContext.get_current()
        quiet.enable_progress_bars = quiet.print_on_execution_start = False
        rows = [{"place": i, "file": str(file.resolve())} for i, file in enumerate(files)]
        told = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Pooled,
            fn_constructor_args=(there,),
            batch_size=1,
            concurrency=engines,
            num_cpus=job.threads,
            num_gpus=job.gpus or None,
        )
        early: dict[int, Line] = {}
        handed = 0
        for row in told.iter_rows():
            early[row["place"]] = Line(**json.loads(row["line"]))
            while handed in early:
                yield early.pop(handed)
                handed += 1


class _Pooled:
    """An actor's engine. A line travels as JSON: Arrow would want the same fields in every trace."""

    def __init__(self, job: Job) -> None:
        self.answer = Answerer(job)

    def __call__(self, rows: Rows) -> Rows:
        lines = [self.answer(int(i), Path(str(file))) for i, file in zip(rows["place"], rows["file"], strict=True)]
        return {"place": rows["place"], "line": np.array([json.dumps(asdict(line)) for line in lines], dtype=object)}
