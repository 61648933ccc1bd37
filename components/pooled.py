"""Work over the machines of a cluster: Ray Data, with a pool of workers that each hold something costly, an engine say.

A worker is an actor with as many CPUs as it has threads and its share of a GPU, so that several small models share one.
Results come back in any order and are handed on in that of the work.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import numpy as np

from components.cluster import cluster

Work = TypeVar("Work")
Done = TypeVar("Done")
Rows = dict[str, np.ndarray]


def pooled(
    work: Sequence[Work], make: Callable[[], Callable[[Work], Done]], *, workers: int, threads: int = 1, gpus: float = 0
) -> Iterator[Done]:
    """make()(each), in order. make is called once in each worker; what it names must be there on every machine.

    workers: no more than there is work. threads, gpus: of each. What a worker raises ends it all.
    """
    workers = min(workers, len(work))
    with cluster(num_cpus=workers * threads + 1):  # one for Ray Data's own tasks
        import ray.data

        quiet = ray.data.DataContext.get_current()
        quiet.enable_progress_bars = quiet.print_on_execution_start = False
        rows = [{"place": k, "work": pickle.dumps(one)} for k, one in enumerate(work)]
        told = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            fn_constructor_args=(make,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=threads,
            num_gpus=gpus or None,
        )
        early: dict[int, Done] = {}
        handed = 0
        for row in told.iter_rows():
            early[row["place"]] = cast(Done, pickle.loads(row["done"]))
            while handed in early:
                yield early.pop(handed)
                handed += 1


class _Worker:
    """Work travels pickled: Arrow would want the same fields in every piece."""

    def __init__(self, make: Callable[[], Callable[[object], object]]) -> None:
        self.do = make()

    def __call__(self, rows: Rows) -> Rows:
        done = [pickle.dumps(self.do(pickle.loads(work))) for work in rows["work"]]
        return {"place": rows["place"], "done": np.array(done, dtype=object)}
