"""Groups of answers: which questions a step asks, the answers to them, and what each earned."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from components.training.examples import Case, cases
from components.training.launch import Workers
from components.training.rl_config import RlConfig
from components.training.rollouts import generate
from model.interface.prompt import filled
from model.interface.question import Question
from model.interface.trace import Trace
from model.learning.packing import Row
from model.learning.rewards import REWARDS, advantages, has_truth, right
from model.vlm.backend import RolloutBackend
from model.vlm.checkpoint import Checkpoint
from model.vlm.rollout import Rollout, trace_of

FIGURES = ("reward", "correct", "valid_format", "pointed", "boxes", "crops", "truncated", "length")
"""Means over a step's answers. Only the reward is optimised; the rest is watched."""
Chosen = list[tuple[Case, int]]
"""(case, which of its questions)."""


@dataclass(frozen=True, slots=True)
class Group:
    """Answers to one question, and what they earned."""

    rollouts: list[Rollout]
    traces: list[Trace]
    rewards: list[float]
    sums: dict[str, float]
    """Over the answers: FIGURES, and `area` of all boxes, `nats` of all sampled tokens."""

    @property
    def flat(self) -> bool:
        return not any(advantages(self.rewards))

    @property
    def dimension(self) -> int:
        return self.rollouts[0].prepared.dimension

    def row(self, *, divided: bool = False) -> Row:
        """The group as one row, its branches weighted by advantage; see `rewards.advantages`."""
        weights = advantages(self.rewards, divided=divided)
        features = [*self.rollouts[0].pictures, *(f for r in self.rollouts for f in r.features)]
        return Row(self.rollouts[0].shared, [r.branch for r in self.rollouts], features, weights)


def answerable(folder: Path, checkpoint: Checkpoint, workers: Workers) -> list[Case]:
    """This worker's studies with the questions whose answer is known, in shard order."""
    rank, world = workers.rank, workers.world
    return cases(folder, "train", checkpoint, rank=rank, world=world, wanted=has_truth)


def gather(
    backend: RolloutBackend, checkpoint: Checkpoint, asked: list[Case], config: RlConfig, workers: Workers, step: int
) -> list[Group]:
    """This worker's groups of a step, each whole; what is asked in place of flat ones stands behind them."""
    wanted = Counter({2: _part(config.images, workers), 3: _part(config.volumes, workers)})
    groups: list[Group] = []
    for round in range(config.resample + 1):
        lacking = wanted - Counter(group.dimension for group in groups if not group.flat)
        if not lacking:
            break
        random = np.random.default_rng([config.seed, step, workers.rank, *([round] if round else [])])
        seed = config.seed + 1000 * step + workers.rank + 1_000_000_007 * round
        groups += sample(backend, checkpoint, draw(asked, lacking, random), config, seed=seed, version=step)
    return groups


def _part(wanted: int, workers: Workers) -> int:
    return wanted // workers.world + (workers.rank < wanted % workers.world)


def draw(asked: list[Case], wanted: Counter[int], random: np.random.Generator) -> Chosen:
    """As many questions of each dimension as wanted, or all there are."""
    chosen: Chosen = []
    for dimension in (2, 3):
        pool = [(case, k) for case in asked if case.prepared.dimension == dimension for k in range(len(case.questions))]
        chosen += [pool[i] for i in random.choice(len(pool), min(wanted[dimension], len(pool)), replace=False)]
    return chosen


def sample(
    backend: RolloutBackend, checkpoint: Checkpoint, chosen: Chosen, config: RlConfig, *, seed: int, version: int = 0
) -> list[Group]:
    """version: of the weights that are to answer."""
    asked = [(case.prepared, case.questions[k]) for case, k in chosen for _ in range(config.group)]
    rollouts = generate(backend, asked, config.sampling(seed), version)
    grouped = [rollouts[first : first + config.group] for first in range(0, len(rollouts), config.group)]
    return [judged(group, checkpoint, config) for group in grouped]


def judged(rollouts: list[Rollout], checkpoint: Checkpoint, config: RlConfig) -> Group:
    """The same question's answers, read and rewarded."""
    frame, asked = rollouts[0].prepared.frame, rollouts[0].question
    places = tuple(frame.to_model(region) for region in asked.regions)
    question = replace(asked, reply=filled(asked.reply, places, flat=asked.dimension == 2))
    truths = [frame.to_model(remark.box) for remark in question.rationale if remark.box]
    traces = [trace_of(rollout, checkpoint) for rollout in rollouts]
    rewards = [REWARDS[config.reward](trace, question, truths) for trace in traces]
    return Group(rollouts, traces, rewards, _sums(rollouts, traces, rewards, question))


def _sums(
    rollouts: Sequence[Rollout], traces: Sequence[Trace], rewards: Sequence[float], question: Question
) -> dict[str, float]:
    figures = (
        sum(rewards),
        sum(right(trace, question) for trace in traces),
        sum(t.valid_format for t in traces),
        sum(any(step.crops for step in t.steps) for t in traces),
        sum(len(t.answer.evidence) for t in traces),
        sum(step.crops for t in traces for step in t.steps),
        sum(t.truncated for t in traces),
        sum(t.sampled for t in traces),
    )
    areas = [prod(step.box.size) / prod(t.shape) for t in traces for step in t.steps if step.box]
    told = dict(zip(FIGURES, map(float, figures), strict=True))
    return told | {"area": sum(areas), "nats": -sum(logprob for r in rollouts for logprob in r.logprobs)}
