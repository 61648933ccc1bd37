"""The store of visual tokens: right, bounded, and empty once the tower changes."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from model.vlm import features as module
from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features, Tower, tower_digest
from model.vlm.regions import features_of
from model.vlm.shelf import Shelf
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


def test_what_was_made_in_one_arithmetic_is_not_found_in_another(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """SFT makes tokens outside autocast, RL inside: they share what is on disk."""
    shown = pictures(1)
    (whole,) = Features(0, Shelf(tmp_path, 1.0)).of(checkpoint.vlm, shown, SMALL, "tower")
    for _ in range(2):
        store = Features(0, Shelf(tmp_path, 1.0))
        with torch.autocast("cpu", torch.bfloat16):
            (cast,) = store.of(checkpoint.vlm, shown, SMALL, "tower")
            assert torch.equal(cast, features_of(checkpoint.vlm, shown, SMALL)[0])
        assert not torch.equal(cast.float(), whole.float())
    assert store.hits == 1
    (again,) = store.of(checkpoint.vlm, shown, SMALL, "tower")
    assert torch.equal(again, whole)


def test_a_frozen_tower_is_hashed_once_and_again_whenever_it_changed(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    vlm = copy.deepcopy(checkpoint.vlm)
    visual, hashed = vlm.model.visual, []
    monkeypatch.setattr(module, "tower_digest", lambda vlm: hashed.append(tower_digest(vlm)) or hashed[-1])
    tower = Tower(vlm)
    for _ in range(2):  # it may be trained: nobody is trusted
        tower.digest()
    assert len(hashed) == 2
    visual.requires_grad_(False)
    for _ in range(3):
        tower.digest()
    assert len(hashed) == 2
    weight = visual.patch_embed.proj.weight

    def written() -> None:
        weight.add_(0.1)

    def stepped() -> None:
        weight.requires_grad_(True).grad = torch.ones_like(weight)
        torch.optim.AdamW([weight], lr=0.1).step()
        weight.requires_grad_(False)

    def loaded() -> None:
        visual.load_state_dict({name: tensor * 2 for name, tensor in visual.state_dict().items()})

    def replaced() -> None:
        visual.patch_embed.proj.weight = torch.nn.Parameter(weight * 2, requires_grad=False)

    def rounded() -> None:
        visual.to(torch.bfloat16).to(torch.float32)

    def normalised() -> None:
        vlm.config.vision_config.image_mean = [0.4, 0.4, 0.4]

    for change in (written, stepped, loaded, replaced, rounded, normalised):
        before = tower.digest()
        with torch.no_grad():
            change()
        assert tower.digest() == tower_digest(vlm) != before, change.__name__
