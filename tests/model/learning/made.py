"""Rows with pictures, crops and many branches, by a model with random weights."""

import numpy as np

from model.interface.boxes import Box
from model.interface.question import Remark
from model.learning.packing import Row
from model.vlm.checkpoint import Checkpoint
from model.vlm.regions import features_of
from model.vlm.tokens import ask, open_study, reason
from tests.model.vlm.conftest import SMALL


def rows(checkpoint: Checkpoint, seed: int, branches: int, pictures: int = 2) -> Row:
    random = np.random.default_rng(seed)
    vocabulary = checkpoint.vocabulary
    shared = open_study(vocabulary, [(2, 2)] * pictures, 3, SMALL)
    made, crops = [], 0
    for k in range(branches):
        branch = ask(shared, vocabulary, "where? " * (k + 1))
        remarks = [Remark("The left thalamus is at", Box.of((1, 2, 0, 9 + k, 8, 2)))] * (k % 3)
        reason(branch, vocabulary, remarks, [[(2, 2)]] * len(remarks), ("A", "left"), flat=False)
        crops += len(remarks)
        made.append(branch)
    shown = list(random.integers(0, 256, (pictures + crops, 32, 32), dtype=np.uint8))
    return Row(shared, made, features_of(checkpoint.vlm, shown, SMALL))


def apart(row: Row) -> list[Row]:
    """Each branch as a row of its own."""
    alone, left = [], iter(row.features)
    own = [next(left) for _ in range(2)]
    weights = row.weights or [1.0] * len(row.branches)
    for branch, weight in zip(row.branches, weights, strict=True):
        count = sum(branch.is_picture) // 4
        alone.append(Row(row.shared, [branch], [*own, *(next(left) for _ in range(count))], [weight]))
    return alone
