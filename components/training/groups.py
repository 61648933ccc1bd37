"""Groups of answers: the answers to what a step asks (`drawing`), and what each earned."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from components.training.drawing import Answerable, Chosen, part_of, sampling_seed
from components.training.gradients import total
from components.training.launch import Workers
from components.training.rl_config import RlConfig
from components.training.rollouts import generate
from model.interface.prompt import filled
from model.interface.question import Question
from model.interface.trace import Trace
from model.learning.packing import Row
from model.learning.rewards import REWARDS, advantages, right
from model.vlm.backend import RolloutBackend
from model.vlm.checkpoint import Checkpoint
from model.vlm.rollout import Rollout, trace_of

FIGURES = ("reward", "correct", "valid_format", "pointed", "boxes", "crops", "truncated", "length")
"""Means over a step's answers. Only the reward is optimised; the rest is watched."""


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


def gather(
    backend: RolloutBackend, checkpoint: Checkpoint, asked: Answerable, config: RlConfig, workers: Workers, step: int
) -> list[Group]:
    """This worker's groups of a step, each whole; what is asked in place of flat ones stands behind them.

    Every worker calls it: after each round, of which there are `config.resample` and one at most, they count together
    what is lacking.
    """
    wanted = lacking = Counter({2: config.images, 3: config.volumes})
    groups: list[Group] = []
    for round in range(config.resample + 1):
        mine = part_of(asked.draw(lacking, config, step, round), workers)
        seed = sampling_seed(config, step, round)
        groups += sample(backend, checkpoint, asked.read(mine), config, seed=seed, version=step)
        images, volumes = total(*(sum(group.dimension == d and not group.flat for group in groups) for d in (2, 3)))
        lacking = wanted - Counter({2: int(images), 3: int(volumes)})
        if not lacking:
            break
    return groups


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
