"""Whose weights answer: the engine of this process, and a real pool against it."""

from pathlib import Path

import pytest
import torch

from components.cluster import cluster
from components.training.launch import Workers
from components.training.rl import train
from components.training.rl_config import RlConfig
from components.training.rollouts import backend, generate, hand_over
from model.imaging import shards
from model.imaging.prepare import prepare
from model.interface.errors import Conflict
from model.vlm import checkpoint as folders
from model.vlm.backend import LocalEngine
from model.vlm.checkpoint import Checkpoint
from model.vlm.sampling import Sampling
from tests.components.training import answers
from tests.components.training.answers import equal, groups, rewarded, step, weights
from tests.components.training.test_sft import FolderSaves

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
SAMPLING = Sampling(temperature=1.0, max_tokens=12, seed=3)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RlConfig:
    return answers.config(tmp_path_factory.mktemp("rollouts"))


@pytest.fixture
def checkpoint(small: RlConfig) -> Checkpoint:
    return folders.load(small.sft)


def asked(config: RlConfig, checkpoint: Checkpoint) -> list:
    seen = [prepare(study.volume, checkpoint.contract) for study in shards.read_studies(config.data, "train")][:3]
    return list(zip(seen, shards.read_questions(config.data, "train"), strict=False))


def test_answers_behind_an_update_are_of_the_new_weights_and_of_no_memory_of_the_old(
    checkpoint: Checkpoint, small: RlConfig
) -> None:
    questions = asked(small, checkpoint)
    with backend(checkpoint, small) as engine:
        before = generate(engine, questions, SAMPLING, 0)
        step(checkpoint, [rewarded(group, [1.0, 0, 0, 0]) for group in groups(checkpoint, small)], small, lr=5.0)
        hand_over(engine, {}, 1)
        after = generate(engine, questions, SAMPLING, 1)
    fresh = LocalEngine(checkpoint).generate(questions, SAMPLING).rollouts
    assert [r.logprobs for r in after] == [r.logprobs for r in fresh]
    assert [r.logprobs for r in after] != [r.logprobs for r in before]


def test_pictures_are_read_once_for_as_long_as_the_tower_stays(checkpoint: Checkpoint, small: RlConfig) -> None:
    questions = asked(small, checkpoint)
    with backend(checkpoint, small) as engine:
        assert isinstance(engine, LocalEngine)
        generate(engine, questions, SAMPLING, 0)
        made = engine.features.misses
        assert made == sum(len(prepared.slices) for prepared, _ in questions)
        step(checkpoint, [rewarded(group, [1.0, 0, 0, 0]) for group in groups(checkpoint, small)], small)
        generate(engine, questions, SAMPLING, 0)
        assert engine.features.misses == made
        with torch.no_grad():
            next(checkpoint.vlm.model.visual.parameters()).add_(0.1)
        [first, *_] = generate(engine, questions, SAMPLING, 0)
        assert engine.features.misses == 2 * made
    fresh = LocalEngine(checkpoint).generate(questions, SAMPLING).rollouts[0]
    assert equal(first.pictures, fresh.pictures)


def test_answers_of_other_weights_are_refused(checkpoint: Checkpoint, small: RlConfig) -> None:
    with backend(checkpoint, small) as engine:
        hand_over(engine, {}, 4)
        with pytest.raises(Conflict, match="answers of other weights") as refused:
            generate(engine, asked(small, checkpoint), SAMPLING, 5)
    assert refused.value.where == "rollouts: found version 4, wanted 5"


def test_a_training_on_a_pools_answers_is_the_one_on_its_own(small: RlConfig, tmp_path: Path) -> None:
    """Two engines in processes of their own, handed the weights of every step; resumed in between."""
    config = small.model_copy(update={"max_tokens": 60, "lr": 1e-3, "steps": 3, "images": 3, "group": 8})
    own, other = folders.load(config.sft), folders.load(config.sft)
    calm = train(own, config, Workers(), FolderSaves(tmp_path / "own"), None)
    pool = config.model_copy(update={"rollout": "pool", "engines": 2})
    with cluster(num_cpus=2):
        with pytest.raises(InterruptedError):
            train(folders.load(config.sft), pool, Workers(), FolderSaves(tmp_path / "pool", 2), None)
        found = train(other, pool, Workers(), FolderSaves(tmp_path / "pool"), None)
    assert calm.tokens > 0
    assert found.tokens == calm.tokens
    assert found.notes["ess"] == pytest.approx(1, abs=1e-3)
    assert {name: found.notes[name] for name in calm.notes} == pytest.approx(calm.notes, abs=1e-4)
    assert equal(weights(other), weights(own), 1e-4)
