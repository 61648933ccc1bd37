"""A real pool of two engines against the engine of this process."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.cluster import cluster
from components.training.rollout_pool import RolloutPool, divided
from model.imaging import shards
from model.imaging.prepare import prepare
from model.interface.errors import Conflict
from model.vlm import checkpoint as folders
from model.vlm.backend import LocalEngine
from model.vlm.sampling import Sampling
from tests.components import world


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 4))
def test_whole_studies_are_divided_and_nothing_is_lost(studies: list[int], engines: int) -> None:
    kinds = [object() for _ in range(6)]
    parts = divided([(kinds[k], None) for k in studies], engines)  # pyright: ignore[reportArgumentType]
    assert sorted(i for part in parts for i in part) == list(range(len(studies)))
    for kind in set(studies):
        assert sum(any(studies[i] == kind for i in part) for part in parts) == 1


def test_a_pool_answers_as_one_engine_does(tmp_path: Path) -> None:
    """Groups of two studies, then with new weights, then behind an engine that was lost."""
    import ray

    folder = world.checkpoint(tmp_path / "c")
    data = world.data(tmp_path / "data", heads=1)
    local = LocalEngine(folders.load(folder))
    seen = [prepare(study.volume, local.checkpoint.contract) for study in shards.read_studies(data, "test")]
    questions = shards.read_questions(data, "test")
    asked = [(seen[i % 2], questions[i % 2]) for i in range(6)]
    sampling = Sampling(temperature=1.0, max_tokens=10, seed=3)
    name = "model.language_model.norm.weight"
    weights = {name: torch.zeros_like(local.checkpoint.vlm.state_dict()[name])}
    with cluster(num_cpus=2), RolloutPool(folder, engines=2) as pool:
        for version in (0, 1):
            if version:
                pool.load(weights, version)
                local.load(weights, version)
            made, expected = pool.generate(asked, sampling), local.generate(asked, sampling)
            assert made.version == version
            assert [r.branch.ids for r in made.rollouts] == [r.branch.ids for r in expected.rollouts]
            for ours, theirs in zip(made.rollouts, expected.rollouts, strict=True):
                assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)
        with pytest.raises(Conflict, match="can't follow"):
            pool.load(weights, 1)
        ray.kill(pool._engines[0], no_restart=False)
        again = pool.generate(asked, sampling)
        assert again.version == 1
        assert [r.branch.ids for r in again.rollouts] == [r.branch.ids for r in made.rollouts]
