"""Stage `sft`: supervised fine-tuning on grounded traces, injected crops in place but out of the loss.

    for each epoch: studies in a seeded order, a step takes images and volumes in proportion;
    every study is one row, its questions branches (`model.learning.packing`)

Tower and projector are frozen (arXiv 2606.11740), so each picture is encoded once a run.
"""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from components.stage import command
from components.training import progress
from components.training.examples import Example, cases, example
from components.training.gradients import sum_gradients, total
from components.training.launch import TrainingConfig, Workers, launch, trainable
from components.training.progress import Position
from model.learning.losses import cross_entropy, target_logprobs
from model.learning.packing import Row, pack
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint


class SftConfig(TrainingConfig):
    base: Path = Path("checkpoints/base")
    out: Path = Path("checkpoints/sft")
    results: Path = Path("results/sft/metrics.json")
    seed: int = 3
    epochs: int = Field(default=4, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    """Peak of a cosine with 3 % warm-up. A real 7B model wants 1e-5."""
    weight_decay: float = Field(default=0.01, ge=0)
    studies: int = Field(default=24, ge=1)
    """A step, over all workers; images and volumes in proportion."""
    save_every: int = Field(default=60, ge=1)
    """Steps between checkpoints."""


def run(config: SftConfig) -> dict[str, Any]:
    return launch("sft", "base", config, train)


def train(checkpoint: Checkpoint, config: SftConfig, workers: Workers, saves: Any, drawn: Any) -> Position:
    vlm, vocabulary = checkpoint.vlm, checkpoint.vocabulary
    freeze_tower(vlm)
    vlm.train()
    trained = trainable(checkpoint)
    optimiser = torch.optim.AdamW(trained.values(), lr=config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.98))
    examples = [
        example(case, checkpoint)
        for case in cases(config.data, "train", checkpoint, rank=workers.rank, world=workers.world)
    ]
    plan = Plan(examples, config, workers)
    last = saves.last()
    position = progress.read(last, trained, optimiser) if last else Position()
    saves.say(
        f"sft: {plan.steps} steps of {config.studies} studies, {config.epochs} epochs"
        f", {workers.world} workers, from step {position.step}",
    )
    began = time.monotonic()
    for step, rows in plan.batches(position.step):
        for group in optimiser.param_groups:
            group["lr"] = config.lr * schedule(step, plan.steps)
        loss, tokens = train_step(checkpoint, rows, list(trained.values()), optimiser, config, vocabulary)
        position.step, position.tokens = step + 1, position.tokens + tokens
        smooth = position.notes.get("loss", loss)
        position.notes["loss"] = round(0.95 * smooth + 0.05 * loss, 6)
        if drawn:
            drawn.log(step + 1, {"loss": loss, "lr": optimiser.param_groups[0]["lr"], "tokens": position.tokens})
        if (step + 1) % 20 == 0 or step + 1 == plan.steps:
            saves.say(
                f"sft {step + 1}/{plan.steps} loss {position.notes['loss']:.4f} {time.monotonic() - began:.0f}s",
            )
        if (step + 1) % config.save_every == 0 or step + 1 == plan.steps:
            saves.save(
                lambda folder: progress.write(folder, trained, optimiser, position),
                {"loss": loss},
                first=workers.rank == 0,
            )
    if drawn:
        drawn.close()
    return position


def train_step(
    checkpoint: Checkpoint,
    rows: list[Row],
    trained: list[torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    config: SftConfig,
    vocabulary: Any,
) -> tuple[float, float]:
    """One optimiser step; (token-mean loss, trained tokens), both over all workers."""
    mine = sum(sum(branch.trained) for row in rows for branch in row.branches)
    (tokens,) = total(mine)
    share = 0.0
    for micro in micro_batches(rows, config.micro_tokens):
        packed = pack(micro).to(next(checkpoint.vlm.parameters()).device)
        loss = cross_entropy(target_logprobs(checkpoint.vlm, packed, vocabulary), packed.weights, tokens)
        loss.backward()
        share += loss.item()
    sum_gradients(trained)
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    (loss,) = total(share)
    if not math.isfinite(loss):
        raise FloatingPointError("the loss is not finite; the last checkpoint is kept")
    return loss, tokens


def micro_batches(rows: list[Row], tokens: int) -> Iterator[list[Row]]:
    """Rows of like length together, longest first: at most `tokens` a batch, padding included, and a third padding."""
    batch: list[Row] = []
    for row in sorted(rows, key=len, reverse=True):
        if batch and (len(batch[0]) * (len(batch) + 1) > tokens or 3 * len(row) < 2 * len(batch[0])):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


class Plan:
    """Which rows each step takes: a function of seed, step and worker, so resuming needs only the step."""

    def __init__(self, examples: list[Example], config: SftConfig, workers: Workers) -> None:
        self.examples, self.config = examples, config
        self.rank, self.world = workers.rank, workers.world
        (count,) = total(len(examples))
        self.per_epoch = max(1, round(count / config.studies))
        self.steps = self.per_epoch * config.epochs

    def batches(self, first: int) -> Iterator[tuple[int, list[Row]]]:
        """Steps from `first` on. Each epoch takes every study of this worker exactly once."""
        for step in range(first, self.steps):
            epoch, at = divmod(step, self.per_epoch)
            random = np.random.default_rng([self.config.seed, epoch, self.rank])
            order = random.permutation(len(self.examples))
            images = [i for i in order if self.examples[i].dimension == 2]
            volumes = [i for i in order if self.examples[i].dimension == 3]
            chosen = [*_part(images, at, self.per_epoch), *_part(volumes, at, self.per_epoch)]
            yield step, [self.examples[i].row(range(len(self.examples[i].branches))) for i in chosen]


def _part(places: list[int], at: int, parts: int) -> list[int]:
    """The at-th of `parts` nearly equal stretches; together they are everything, once."""
    return places[at * len(places) // parts : (at + 1) * len(places) // parts]


def schedule(step: int, steps: int) -> float:
    """Cosine to zero after 3 % of warm-up, as a share of the peak."""
    return min(1.0, (step + 1) / max(1, round(0.03 * steps))) * (1 + math.cos(math.pi * step / steps)) / 2


if __name__ == "__main__":
    sys.exit(command("sft", SftConfig, run))
