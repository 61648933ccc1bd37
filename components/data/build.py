"""Stage `data`: paint the studies of every split, ask about them, write shards, seal them, describe them.

    python -m components.data.build

Splits are by subject. `reference`, `steady` and `shifted` are windows for the drift check: the first two are
like training, the third is a contrast no training has seen.
"""

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from components.data import card, contrasts, corpus, heads, questions, real, studies
from components.data.anatomy import Subject, subjects
from components.data.balance import balance
from components.data.config import DataConfig
from components.data.studies import Told
from components.stage import command
from model.imaging import shards
from model.imaging.shards import Study
from model.interface.question import Question

TRAIN, VAL, TEST = corpus.TRAIN_SUBJECTS, ("15496",), ("15697",)
WINDOWS = {"reference": contrasts.TRAINED, "steady": contrasts.TRAINED, "shifted": (contrasts.HELD_OUT,)}
SPLITS = ("train", "val", "test", "real", *WINDOWS)
"""Their order is part of every seed."""
CHOICE = 4.0
"""Questions asked for each one wanted, so that balancing has a choice."""


@dataclass(frozen=True, eq=False)
class Task:
    """A head to paint, and what to make of it."""

    split: str
    number: int
    subject: Subject
    contrasts: tuple[str, ...]
    grid: heads.Grid
    seed: int
    volume: bool
    slices: int
    ask: tuple[int, int]
    """Questions about a slice and about a volume."""


Made = tuple[list[Study], list[Question]]


def run(config: DataConfig) -> dict[str, Any]:
    """Write the data folder and return what metrics.json holds."""
    anatomy = subjects((*TRAIN, *VAL, *TEST), workers=config.workers)
    for old in (shards.MANIFEST, "*.parquet", ".*.part"):  # a stopped build is no data set
        for file in config.out.glob(old):
            file.unlink(missing_ok=True)
    with ProcessPoolExecutor(config.workers) as pool:
        for split in SPLITS:
            made = _real(config) if split == "real" else pool.map(make, _tasks(config, split, anatomy))
            _write(config, split, made)
    metrics = card.write(config, anatomy)
    shards.seal(config.out)
    return metrics


def make(task: Task) -> Made:
    """A head's studies, and more questions about them than are wanted."""
    random = np.random.default_rng([task.seed, SPLITS.index(task.split), task.number])
    name = f"{task.split}-{task.number:03d}"
    head = studies.make_head(random, name, task.split, task.subject, task.contrasts, task.grid, centres=True)
    told = [studies.whole(head)] if task.volume else []
    told += studies.slices(random, head, task.slices)
    return _asked(told, task.ask, random)


def _asked(told: Iterable[Told], ask: tuple[int, int], random: np.random.Generator) -> Made:
    made: Made = ([], [])
    for study, scene in told:
        made[0].append(study)
        made[1].extend(questions.ask(scene, ask[scene.dimension - 2], random))
    return made


def _tasks(config: DataConfig, split: str, anatomy: dict[str, Subject]) -> Iterator[Task]:
    if split in WINDOWS:
        grid = heads.Grid(config.window_grid, studies.FIELD_MM)
        for k in range(config.window_studies):
            yield Task(split, k, anatomy[VAL[0]], WINDOWS[split], grid, config.seed, False, 1, (1, 0))
        return
    n, slices, people = {
        "train": (config.heads_train, config.slices_per_head, TRAIN),
        "val": (config.heads_val, config.slices_per_head, VAL),
        "test": (config.heads_test, config.slices_per_test_head, TEST),
    }[split]
    wanted = _wanted(config, split)
    ask = ceil(CHOICE * wanted[0] / (n * slices)), ceil(CHOICE * wanted[1] / n)
    grid = heads.Grid(config.grid, studies.FIELD_MM)
    for k in range(n):
        subject = anatomy[people[k % len(people)]]
        yield Task(split, k, subject, contrasts.TRAINED, grid, config.seed, True, slices, ask)


def _real(config: DataConfig) -> Iterator[Made]:
    """The one real study, as if it were a head."""
    random = np.random.default_rng([config.seed, SPLITS.index("real")])
    flat, deep = config.questions_real
    yield _asked(real.told(config.slices_real), (ceil(CHOICE * flat / config.slices_real), ceil(CHOICE * deep)), random)


def _wanted(config: DataConfig, split: str) -> tuple[int, int]:
    """Questions about slices and about volumes."""
    if split in WINDOWS:
        return config.window_studies, 0
    return {
        "train": config.questions_train,
        "val": config.questions_val,
        "test": config.questions_test,
        "real": config.questions_real,
    }[split]


def _write(config: DataConfig, split: str, made: Iterable[Made]) -> None:
    asked: list[Question] = []

    def stream() -> Iterator[Study]:
        for some, about in made:
            asked.extend(about)
            yield from some

    shards.write_studies(config.out, split, stream())
    if split not in WINDOWS:  # a window has one question a study, whatever it is
        random = np.random.default_rng([config.seed, SPLITS.index(split), 1 << 20])
        by_dimension = [[q for q in asked if q.dimension == d] for d in (2, 3)]
        wanted = zip(by_dimension, _wanted(config, split), strict=True)
        kept = [balance(some, n, random, level=split != "real") for some, n in wanted]
        asked = [*kept[0], *kept[1]]
    shards.write_questions(config.out, split, asked)
    sys.stderr.write(f"data: {split}: {len(asked)} questions\n")


if __name__ == "__main__":
    sys.exit(command("data", DataConfig, run))
