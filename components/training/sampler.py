"""Which studies each step takes: a function of seed and step, whatever the workers.

    studies  0 1 2 3 4 5 …    dealt to two streams by their place; a stream has an order of its own in each epoch
    step     the next stretch of each pool (images, volumes, text alone) of both streams
    worker   those of the step's studies that it holds (`examples.Deal`)

A step doesn't depend on the workers, so their number may change at a resume, and nothing is skipped or taken twice:
the step is the whole cursor. At equal weights an epoch takes every study once. A weight of 2 takes a pool's studies
twice as often as a weight of 1, in steps of the same size; a family's weight thins what is asked about a study.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from model.interface.errors import BadInput
from model.learning.packing import Row

Kind = Literal["images", "volumes", "text"]
KINDS: tuple[Kind, ...] = ("images", "volumes", "text")
STREAMS = 2
"""More than one, because orders were drawn by each of two workers when the published checkpoints were made."""


class Mixture(BaseModel):
    """How often a pool is taken, and a family asked about, against the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: float = Field(default=1.0, ge=0)
    volumes: float = Field(default=1.0, ge=0)
    text: float = Field(default=1.0, ge=0)
    """Rows that have no picture."""
    families: dict[str, NonNegativeFloat] = {}
    """By name, of the data's; 1 where one isn't named. The largest is always asked, one of half its weight every other
    time."""


@dataclass(frozen=True, slots=True)
class Item:
    """What has to be known of a study to take it."""

    place: int
    """In the split, over all workers."""
    kind: Kind
    families: tuple[str, ...]
    """Of each of its questions."""


@dataclass(frozen=True, slots=True)
class Taken:
    place: int
    questions: tuple[int, ...]
    """Which of the study's, in order."""


class Sampler:
    def __init__(
        self, items: Sequence[Item], *, seed: int, size: int, epochs: int, start: Mixture, end: Mixture | None = None
    ) -> None:
        """size: studies a step. end: weights of the last step; they change by equal amounts from start to end.

        Raises BadInput as `check_weights` does, and where families aren't the data's or have no weight.
        """
        self.seed, self.start, self.end = seed, start, end or start
        self.streams = [[item for item in items if item.place % STREAMS == s] for s in range(STREAMS)]
        self.counts: dict[Kind, int] = {kind: sum(item.kind == kind for item in items) for kind in KINDS}
        self.per_epoch = max(1, round(len(items) / size))
        self.steps = self.per_epoch * epochs
        check_weights(self.counts, self.start, self.end)
        self._check_families()

    def _check_families(self) -> None:
        known = sorted(self._families)
        for name, mixture in (("mixture", self.start), ("mixture_end", self.end)) if known else ():
            where = f"{name}.families: "
            if unknown := sorted(set(mixture.families) - set(known)):
                where += f"found {unknown[0]}, wanted one of {', '.join(known)}"
                raise BadInput("no such family", where=where, next=f"mend its name in {name}")
            if not any(mixture.families.get(family, 1.0) for family in known):
                where += f"every weight is 0, wanted one above of {', '.join(known)}"
                raise BadInput("a step would be empty", where=where, next=f"give one of these a weight in {name}")

    def batch(self, step: int) -> list[Taken]:
        """The step's studies, over all workers."""
        return [taken for s in range(STREAMS) for kind in KINDS for taken in self._stretch(s, kind, step)]

    def _stretch(self, s: int, kind: Kind, step: int) -> Iterator[Taken]:
        """What the step takes of a pool of a stream, which is gone through again and again."""
        count = sum(item.kind == kind for item in self.streams[s])
        if not count:
            return
        low, high = (int(self._passed[kind][t] * count / self.per_epoch) for t in (step, step + 1))
        for visit in range(low // count, -(-high // count)):
            first = visit * count
            for item in self._order(s, kind, visit)[max(low - first, 0) : high - first]:
                if questions := self._asked(item, visit, step):
                    yield Taken(item.place, questions)

    @cached_property
    def _passed(self) -> dict[Kind, list[float]]:
        """By pool: steps' worth of it that went before each step; t itself where all weights are equal."""
        total = sum(self.counts.values())
        passed: dict[Kind, list[float]] = {kind: [0.0] for kind in KINDS}
        for step in range(self.steps):
            weighed = sum(self._weight(kind, step) * self.counts[kind] for kind in KINDS)
            for kind in KINDS:
                passed[kind].append(passed[kind][-1] + self._weight(kind, step) * total / weighed)
        return passed

    def _order(self, s: int, kind: Kind, visit: int) -> list[Item]:
        stream = self.streams[s]
        order = np.random.default_rng([self.seed, visit, s]).permutation(len(stream))
        return [stream[i] for i in order if stream[i].kind == kind]

    def _asked(self, item: Item, visit: int, step: int) -> tuple[int, ...]:
        share = [self._share(family, step) for family in item.families]
        most = max(self._share(family, step) for family in self._families)
        if all(one == most for one in share):
            return tuple(range(len(share)))
        drawn = np.random.default_rng([self.seed, visit, STREAMS, item.place]).random(len(share))
        return tuple(k for k, one in enumerate(share) if drawn[k] * most < one)

    def _share(self, family: str, step: int) -> float:
        return self._between(self.start.families.get(family, 1.0), self.end.families.get(family, 1.0), step)

    @cached_property
    def _families(self) -> set[str]:
        return {family for stream in self.streams for item in stream for family in item.families}

    def _weight(self, kind: Kind, step: int) -> float:
        return self._between(getattr(self.start, kind), getattr(self.end, kind), step)

    def _between(self, start: float, end: float, step: int) -> float:
        return start + (end - start) * step / max(1, self.steps - 1)


def check_weights(counts: Mapping[Kind, int], start: Mixture, end: Mixture) -> None:
    """Raises BadInput where there are studies and a step has no pool of them to take.

    A step's sum of weights lies between the first's and the last's, so it can be 0 at one of these only.
    """
    for name, mixture in (("mixture", start), ("mixture_end", end)):
        if any(counts.values()) and not any(getattr(mixture, kind) * counts[kind] for kind in KINDS):
            raise BadInput(
                "a step would be empty",
                where=f"{name}: found 0 for every pool that has studies, wanted one above",
                next=f"give one of these a weight in {name}: {', '.join(kind for kind in KINDS if counts[kind])}",
            )


def micro_batches(rows: list[Row], tokens: int) -> Iterator[list[Row]]:
    """Rows of like length together, longest first: at most `tokens` a batch, padding included, and a third padding."""
    batch: list[Row] = []
    for row in sorted(rows, key=len, reverse=True):
        if batch and (len(batch[0]) * (len(batch) + 1) > tokens or 3 * len(row) < 2 * len(batch[0])):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
