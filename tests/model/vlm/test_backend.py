"""The local engine behind the interface."""

import pytest
import torch

from model.imaging.prepare import Prepared
from model.interface.errors import Conflict
from model.vlm import checkpoint as folders
from model.vlm import features
from model.vlm.backend import LocalEngine, RolloutBackend
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import roll_out
from model.vlm.sampling import Sampling
from tests.model.vlm.test_engine import question


@pytest.fixture
def own(checkpoint: Checkpoint, tmp_path) -> Checkpoint:
    folders.save(checkpoint, tmp_path / "c")
    return folders.load(tmp_path / "c")


def test_new_weights_answer_and_old_features_stay(own: Checkpoint, image: Prepared) -> None:
    backend: RolloutBackend = LocalEngine(own)
    asked, sampling = [(image, question(2))] * 3, Sampling(temperature=1.0, max_tokens=8, seed=2)
    before = backend.generate(asked, sampling)
    assert (before.version, len({tuple(r.branch.ids) for r in before.rollouts})) == (0, 3)
    name = "model.language_model.norm.weight"
    backend.load({name: torch.zeros_like(own.vlm.state_dict()[name])}, version=4)
    after = backend.generate(asked, sampling)
    assert after.version == 4
    assert [r.branch.ids for r in after.rollouts] == [r.branch.ids for r in roll_out(own, asked, sampling)]
    assert [r.branch.ids for r in after.rollouts] != [r.branch.ids for r in before.rollouts]
    assert isinstance(backend, LocalEngine) and backend.features.misses == 1 == backend.features.hits


def test_a_frozen_tower_is_hashed_once_for_all_calls_and_one_that_is_handed_over_meets_no_old_features(
    own: Checkpoint, image: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.vlm.requires_grad_(False)
    backend, hashed, real = LocalEngine(own), [], features.tower_digest
    monkeypatch.setattr(features, "tower_digest", lambda vlm: hashed.append(1) or real(vlm))
    asked, sampling = [(image, question(2))], Sampling(max_tokens=4)
    for version in (1, 2, 3):
        backend.generate(asked, sampling)
        backend.load({"model.language_model.norm.weight": torch.ones(1)}, version)
    assert (len(hashed), backend.features.misses) == (1, 1)
    name = "model.visual.patch_embed.proj.weight"
    backend.load({name: own.vlm.state_dict()[name] * 2}, version=4)
    [told] = backend.generate(asked, sampling).rollouts
    assert (len(hashed), backend.features.misses) == (2, 2)
    [fresh] = roll_out(own, asked, sampling)
    assert torch.equal(told.pictures[0], fresh.pictures[0])


def test_weights_that_are_older_or_unknown_are_refused(own: Checkpoint) -> None:
    backend = LocalEngine(own)
    backend.load({}, version=2)
    with pytest.raises(Conflict, match="can't follow") as caught:
        backend.load({}, version=2)
    assert "found version 2" in caught.value.where
    with pytest.raises(Conflict) as caught:
        backend.load({"model.head": torch.zeros(1)}, version=3)
    assert "found weights model.head" in caught.value.where
    assert backend.version == 2
