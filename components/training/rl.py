"""Stage `rl`: GRPO on outcomes alone. Every sampled box is answered with real crops, in 2D and in 3D.

    for each step: draw questions; sample a group of answers to each, crops injected as they are
    pointed at; reward (answer, then format; never IoU); one on-policy update

A group is one packed row: the study and the question once, its samples as branches. Flat groups
(all rewards equal) move nothing and are left out of the denominator.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from components.stage import command
from components.training import progress
from components.training.examples import Case, cases
from components.training.gradients import sum_gradients, total
from components.training.launch import TrainingConfig, Workers, launch, trainable
from components.training.progress import Position
from components.training.sft import micro_batches
from model.learning.losses import Clip, grpo, target_logprobs
from model.learning.packing import Row, pack
from model.learning.rewards import advantages, reward
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import roll_out
from model.vlm.rollout import Rollout, trace_of
from model.vlm.sampling import Sampling

FIGURES = ("reward", "correct", "valid_format", "pointed", "boxes", "crops", "truncated", "length")
"""Means over a step's answers. Only the reward is optimised; the rest is watched."""


class RlConfig(TrainingConfig):
    sft: Path = Path("checkpoints/sft")
    out: Path = Path("checkpoints/rl")
    results: Path = Path("results/rl/metrics.json")
    seed: int = 5
    steps: int = Field(default=60, ge=1)
    images: int = Field(default=6, ge=0)
    """Questions about images a step, over all workers."""
    volumes: int = Field(default=2, ge=0)
    """Questions about volumes a step, over all workers: about the paper's 170 to 50."""
    group: int = Field(default=8, ge=2)
    """Answers sampled to each question."""
    max_tokens: int = Field(default=120, ge=8)
    """Sampled tokens an answer; a longer one is cut and left out of the update."""
    lr: float = Field(default=1e-5, gt=0)
    """Constant after ten steps. A real 7B model wants 1e-6."""
    clip: tuple[float, float] = (0.2, 0.28)
    save_every: int = Field(default=20, ge=1)


def run(config: RlConfig) -> dict[str, Any]:
    return launch("rl", "sft", config, train)


@dataclass(frozen=True, slots=True)
class Group:
    """Samples of one question, and what they earned."""

    rollouts: list[Rollout]
    rewards: list[float]
    figures: dict[str, float]

    @property
    def flat(self) -> bool:
        return not any(advantages(self.rewards))

    def row(self) -> tuple[Row, list[float]]:
        """The group as one row weighted by advantage, and its sampled tokens' log-probabilities then.

        A truncated answer has no end to judge: its tokens weigh nothing.
        """
        weights = [0.0 if r.truncated else a for r, a in zip(self.rollouts, advantages(self.rewards), strict=True)]
        features = [*self.rollouts[0].pictures, *(f for r in self.rollouts for f in r.features)]
        row = Row(self.rollouts[0].shared, [r.branch for r in self.rollouts], features, weights)
        return row, [logprob for r in self.rollouts for logprob in r.logprobs]


def train(checkpoint: Checkpoint, config: RlConfig, workers: Workers, saves: Any, drawn: Any) -> Position:
    freeze_tower(checkpoint.vlm)
    checkpoint.vlm.eval()  # nothing in the model drops out: sampling and training are one function
    trained = trainable(checkpoint)
    optimiser = torch.optim.AdamW(trained.values(), lr=config.lr, weight_decay=0.0, betas=(0.9, 0.98))
    asked = cases(config.data, "train", checkpoint, rank=workers.rank, world=workers.world, closed=True)
    last = saves.last()
    position = progress.read(last, trained, optimiser) if last else Position()
    saves.say(
        f"rl: {config.steps} steps of {config.images} + {config.volumes} questions x {config.group} answers"
        f", from step {position.step}",
    )
    began = time.monotonic()
    for step in range(position.step, config.steps):
        for part in optimiser.param_groups:
            part["lr"] = config.lr * min(1.0, (step + 1) / 10)
        groups = sample(
            checkpoint, draw(asked, config, workers, step), config, seed=config.seed + 1000 * step + workers.rank
        )
        figures = update(checkpoint, groups, list(trained.values()), optimiser, config)
        position.step, position.tokens = step + 1, position.tokens + figures["tokens"]
        for name, value in figures.items():
            position.notes[name] = round(0.9 * position.notes.get(name, value) + 0.1 * value, 6)
        if drawn:
            drawn.log(step + 1, figures)
        if (step + 1) % 5 == 0 or step + 1 == config.steps:
            told = " ".join(
                f"{name} {position.notes[name]:.3f}" for name in ("reward", "correct", "valid_format", "crops", "flat")
            )
            saves.say(f"rl {step + 1}/{config.steps} {told} {time.monotonic() - began:.0f}s")
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            saves.save(
                lambda folder: progress.write(folder, trained, optimiser, position), figures, first=workers.rank == 0
            )
    if drawn:
        drawn.close()
    return position


def draw(asked: list[Case], config: RlConfig, workers: Workers, step: int) -> list[tuple[Case, int]]:
    """This worker's share of a step's questions: (case, which of its questions)."""
    random = np.random.default_rng([config.seed, step, workers.rank])
    chosen: list[tuple[Case, int]] = []
    for dimension, wanted in ((2, config.images), (3, config.volumes)):
        pool = [(case, k) for case in asked if case.prepared.dimension == dimension for k in range(len(case.questions))]
        mine = wanted // workers.world + (workers.rank < wanted % workers.world)
        chosen += [pool[i] for i in random.choice(len(pool), min(mine, len(pool)), replace=False)]
    return chosen


def sample(checkpoint: Checkpoint, chosen: list[tuple[Case, int]], config: RlConfig, *, seed: int) -> list[Group]:
    sampling = Sampling(temperature=1.0, max_tokens=config.max_tokens, seed=seed)
    asked = [(case.prepared, case.questions[k]) for case, k in chosen for _ in range(config.group)]
    rollouts = roll_out(checkpoint, asked, sampling)
    groups = []
    for first in range(0, len(rollouts), config.group):
        some = rollouts[first : first + config.group]
        traces = [trace_of(rollout, checkpoint) for rollout in some]
        rewards = [reward(trace, rollout.question) for trace, rollout in zip(traces, some, strict=True)]
        sums = (
            sum(rewards),
            sum(t.answer.choice == r.question.letter for t, r in zip(traces, some, strict=True)),
            sum(t.valid_format for t in traces),
            sum(any(step.crops for step in t.steps) for t in traces),
            sum(len(t.answer.evidence) for t in traces),
            sum(step.crops for t in traces for step in t.steps),
            sum(t.truncated for t in traces),
            sum(t.sampled for t in traces),
        )
        groups.append(Group(some, rewards, dict(zip(FIGURES, map(float, sums), strict=True))))
    return groups


def update(
    checkpoint: Checkpoint,
    groups: list[Group],
    trained: list[torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    config: RlConfig,
) -> dict[str, float]:
    """One step on what the groups earned; figures are means over all workers' answers."""
    useful = [group.row() for group in groups if not group.flat]
    weighty = sum(sum(b.trained) for row, _ in useful for b, w in zip(row.branches, row.weights, strict=True) if w)
    (tokens,) = total(weighty)
    off, device = 0.0, next(checkpoint.vlm.parameters()).device
    sampled = {id(row): logprobs for row, logprobs in useful}
    for micro in micro_batches([row for row, _ in useful], config.micro_tokens):
        packed = pack(micro).to(device)
        old = torch.tensor([logprob for row in micro for logprob in sampled[id(row)]], device=device)
        new = target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary)
        off = max(off, float((new.detach() - old).abs().max()))
        grpo(new, old, packed.weights, tokens, Clip(*config.clip)).backward()
    sum_gradients(trained)
    if tokens:
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    answers, n_groups, n_flat, *sums = total(
        len(groups) * config.group,
        len(groups),
        sum(group.flat for group in groups),
        *(sum(g.figures[name] for g in groups) for name in FIGURES),
    )
    figures = {name: value / answers for name, value in zip(FIGURES, sums, strict=True)}
    return figures | {"flat": n_flat / n_groups, "tokens": tokens, "off_policy": off}


if __name__ == "__main__":
    sys.exit(command("rl", RlConfig, run))
