"""Worlds of two runs whose difference is known: five seeds, forty heads, chance of seeds, heads and single answers."""

from collections.abc import Iterator

import numpy as np

from components.evaluation.paired import Difference, difference

SEEDS, HEADS = 5, 40
GROUPS = [str(k) for k in range(HEADS)]


def worlds(
    seed: int, count: int, *, by_seed: float, by_head: float, by_answer: float, gain: float = 0.0
) -> Iterator[Difference]:
    """What is found in each; by_…: standard deviations."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        gaps = gain + random.normal(0, by_seed, (SEEDS, 1)) + random.normal(0, by_head, (1, HEADS))
        gaps = gaps + random.normal(0, by_answer, (SEEDS, HEADS))
        yield difference(gaps, np.zeros_like(gaps), np.ones(HEADS), GROUPS)
