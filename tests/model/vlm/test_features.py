"""The store of visual tokens: right, bounded, and empty once the tower changes."""

import copy

import numpy as np
import torch

from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features, tower_digest
from model.vlm.regions import features_of
from tests.model.vlm.conftest import SMALL


def pictures(n: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, 32, 32), dtype=np.uint8))


def test_what_is_found_is_what_would_be_made_and_repeats_are_made_once(checkpoint: Checkpoint) -> None:
    store, shown = Features(), pictures(3)
    shown = [shown[0], shown[1], shown[0], shown[2]]
    for _ in range(2):
        found = store.of(checkpoint.vlm, shown, SMALL, "tower")
        for tokens, expected in zip(found, features_of(checkpoint.vlm, shown, SMALL), strict=True):
            assert torch.allclose(tokens, expected, atol=1e-6)
    assert (store.misses, store.hits) == (3, 5)


def test_the_least_recently_used_go_first(checkpoint: Checkpoint) -> None:
    store, shown = Features(), pictures(3)
    (tokens,) = store.of(checkpoint.vlm, shown[:1], SMALL, "tower")
    store.room = 2 * tokens.nbytes
    for k in (1, 0, 2, 0):
        store.of(checkpoint.vlm, [shown[k]], SMALL, "tower")
    assert store.used <= store.room
    assert store.misses == 3
    store.of(checkpoint.vlm, [shown[1]], SMALL, "tower")
    assert store.misses == 4


def test_other_weights_contracts_and_pixels_find_nothing(checkpoint: Checkpoint) -> None:
    store, (picture, other) = Features(), pictures(2)
    changed = copy.deepcopy(checkpoint.vlm)
    changed.model.visual.patch_embed.proj.weight.data[0, 0] += 1
    digests = tower_digest(checkpoint.vlm), tower_digest(changed)
    assert digests[0] != digests[1]
    store.of(checkpoint.vlm, [picture], SMALL, digests[0])
    store.of(changed, [picture], SMALL, digests[1])
    store.of(checkpoint.vlm, [picture], SMALL.model_copy(update={"channels": "grey"}), digests[0])
    store.of(checkpoint.vlm, [other], SMALL, digests[0])
    store.of(checkpoint.vlm, [picture.reshape(16, 64)], SMALL, digests[0])
    assert store.hits == 0
