"""Which questions a step of RL asks: a function of seed, step and round, whatever the workers.

    all      every question whose answer is known, images' and volumes' apart, in shard order
    step     as many of both as the config says, drawn from all; a further round draws in place of flat groups
    worker   every so-many-th of what was drawn: whole groups, at most one more than another worker has

So the number of workers may change at a resume, and the same is asked. Nobody holds the split: a worker reads its
studies of a step when they are drawn, since over a run any of them may be.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from components.training.examples import Case, by_study
from components.training.launch import Workers
from components.training.rl_config import RlConfig
from model.imaging import shards
from model.imaging.prepare import prepare
from model.learning.rewards import has_truth
from model.vlm.checkpoint import Checkpoint

SPLIT = "train"
Place = tuple[int, int]
"""(study, by its place in the split; which of its questions)."""
Chosen = list[tuple[Case, int]]
"""(case, which of its questions)."""


class Answerable:
    """The questions of a data set whose answer is known."""

    def __init__(self, folder: Path, checkpoint: Checkpoint) -> None:
        self.folder, self.contract = folder, checkpoint.contract
        known = by_study(q for q in shards.read_questions(folder, SPLIT) if has_truth(q))
        listed = shards.list_studies(folder, SPLIT)
        self.asked = {place: known[study] for place, (study, _) in enumerate(listed) if study in known}
        """By place: a study's questions."""
        self.places = {
            dimension: [(place, k) for place in self.asked if listed[place][1] == dimension for k in self._of(place)]
            for dimension in (2, 3)
        }

    def _of(self, place: int) -> range:
        return range(len(self.asked[place]))

    def draw(self, wanted: Counter[int], config: RlConfig, step: int, round: int) -> list[Place]:
        """As many questions of each dimension as wanted, or all there are; images first, over all workers.

        round: 0, then of those in which flat groups are replaced. A round doesn't know what the ones before it drew, so
        a question may come again, with samples of its own: leaving those out would draw other questions than the runs
        that were published did.
        """
        # the third number was a worker's rank while each drew for itself: 0 of one alone
        random = np.random.default_rng([config.seed, step, 0, *([round] if round else [])])
        drawn: list[Place] = []
        for dimension in (2, 3):
            pool = self.places[dimension]
            drawn += [pool[i] for i in random.choice(len(pool), min(wanted[dimension], len(pool)), replace=False)]
        return drawn

    def read(self, drawn: list[Place]) -> Chosen:
        """Their studies, each read and prepared once."""
        read = shards.pick_studies(self.folder, SPLIT, {place for place, _ in drawn})
        cases = {place: Case(prepare(read[place].volume, self.contract), self.asked[place]) for place in read}
        return [(cases[place], k) for place, k in drawn]


def sampling_seed(config: RlConfig, step: int, round: int) -> int:
    """With a question's name and which of its answers it is, all that a sample depends on."""
    return config.seed + 1000 * step + 1_000_000_007 * round


def part_of(drawn: list[Place], workers: Workers) -> list[Place]:
    """This worker's; of images and of volumes, too, at most one more than another's."""
    return drawn[workers.rank :: workers.world]
