"""Which questions a step asks: the same, whatever the workers."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.training.drawing import Answerable, part_of, sampling_seed
from components.training.examples import cases
from components.training.launch import Workers
from components.training.rl_config import RlConfig
from model.imaging import shards
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from tests.components.training import answers

WANTED = Counter({2: 3, 3: 2})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RlConfig:
    return answers.config(tmp_path_factory.mktemp("drawing"))


@pytest.fixture(scope="module")
def checkpoint(small: RlConfig) -> Checkpoint:
    return folders.load(small.sft)


@pytest.fixture(scope="module")
def asked(small: RlConfig, checkpoint: Checkpoint) -> Answerable:
    return Answerable(small.data, checkpoint)


def test_a_draw_is_one_of_seed_step_and_round(small: RlConfig, checkpoint: Checkpoint, asked: Answerable) -> None:
    fresh = Answerable(small.data, checkpoint)
    drawn = {}
    for seed, step, round in ((5, 0, 0), (6, 0, 0), (5, 1, 0), (5, 0, 1)):
        config = small.model_copy(update={"seed": seed})
        drawn[seed, step, round] = asked.draw(WANTED, config, step, round)
        assert drawn[seed, step, round] == fresh.draw(WANTED, config, step, round)
        assert len(set(drawn[seed, step, round])) == 5
    assert len({tuple(some) for some in drawn.values()}) == 4
    assert len({sampling_seed(small, step, round) for step in range(9) for round in range(3)}) == 27


def test_one_worker_draws_what_it_always_has(small: RlConfig, asked: Answerable) -> None:
    """Out of the split in its order, by a generator of (seed, step, 0) and the round where there is one."""
    every = {d: [(place, k) for place, k in asked.places[d]] for d in (2, 3)}
    assert every == {2: [(place, 0) for place in range(1, 12, 2)], 3: [(place, 0) for place in range(0, 12, 2)]}
    for step, round, key in ((0, 0, [5, 0, 0]), (7, 0, [5, 7, 0]), (7, 2, [5, 7, 0, 2])):
        random = np.random.default_rng(key)
        expected = [every[d][i] for d in (2, 3) for i in random.choice(6, WANTED[d], replace=False)]
        assert asked.draw(WANTED, small, step, round) == expected
    assert (sampling_seed(small, 7, 0), sampling_seed(small, 7, 2)) == (7005, 2_000_007_019)


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_workers_share_a_draw_out_and_none_has_two_more_of_a_kind(
    small: RlConfig, asked: Answerable, world: int
) -> None:
    drawn = asked.draw(WANTED, small, 0, 0)
    parts = [part_of(drawn, Workers(rank, world)) for rank in range(world)]
    assert sorted(place for part in parts for place in part) == sorted(drawn)
    for kind in (asked.places[2], asked.places[3], drawn):
        held = [sum(place in kind for place in part) for part in parts]
        assert max(held) - min(held) <= 1


def test_all_there_are_are_drawn_where_more_are_wanted(small: RlConfig, asked: Answerable) -> None:
    drawn = asked.draw(Counter({2: 2, 3: 99}), small, 0, 0)
    assert sorted(drawn[2:]) == asked.places[3]


def test_a_study_is_read_once_however_often_it_is_asked_about(
    small: RlConfig, checkpoint: Checkpoint, asked: Answerable
) -> None:
    whole = cases(small.data, "train", checkpoint)
    read = asked.read([(4, 0), (1, 0), (4, 0)])
    assert [(case.prepared.volume.digest, case.questions, k) for case, k in read] == [
        (whole[place].prepared.volume.digest, whole[place].questions, 0) for place in (4, 1, 4)
    ]
    assert read[0][0] is read[2][0]


def test_open_questions_take_part_and_those_without_a_truth_do_not(
    small: RlConfig, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    shutil.copytree(small.data, tmp_path, dirs_exist_ok=True)
    told, *others = shards.read_questions(tmp_path, "train")
    spoken = replace(told, id="open", options=(), answer=None, reply="a blob")
    silent = [replace(told, id="unknown", answer=None), replace(told, id="mute", options=(), answer=None)]
    shards.write_questions(tmp_path, "train", [told, *others, spoken, *silent])
    found = [q.id for some in Answerable(tmp_path, checkpoint).asked.values() for q in some]
    assert sorted(found) == sorted([told.id, "open", *(q.id for q in others)])
