"""Stage `sft`: supervised fine-tuning on grounded traces, injected crops in place but out of the loss.

    for each epoch: studies in a seeded order, a step takes images and volumes in proportion (`sampler`);
    every study is one row, its questions branches (`model.learning.packing`)

Tower and projector are frozen (arXiv 2606.11740), so each picture is encoded once a run.
"""

import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from components.stage import command
from components.training import progress
from components.training.config import TrainingConfig
from components.training.examples import Example, examples
from components.training.gradients import clip_gradients, finite, sum_gradients, total
from components.training.keeping import encoder
from components.training.launch import Workers, launch
from components.training.meter import Meter
from components.training.progress import Position
from components.training.sampler import Mixture, Sampler, Taken, micro_batches
from components.training.sharding import in_step
from components.training.strategies import adamw, passing, tuned
from model.learning.losses import cross_entropy, target_logprobs
from model.learning.packing import Row, pack_on
from model.vlm.checkpoint import Checkpoint


class SftConfig(TrainingConfig):
    base: Path = Path("checkpoints/base")
    """A checkpoint folder, or a hub id."""
    out: Path = Path("checkpoints/sft")
    results: Path = Path("results/sft/metrics.json")
    seed: int = Field(default=3, ge=0)
    epochs: int = Field(default=4, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    """Peak of a cosine with 3 % warm-up. A real 7B model wants 1e-5."""
    weight_decay: float = Field(default=0.01, ge=0)
    studies: int = Field(default=24, ge=1)
    """A step, over all workers; images and volumes in proportion."""
    mixture: Mixture = Mixture()
    """How often images, volumes, text and families are taken against one another."""
    mixture_end: Mixture | None = None
    """Where the mixture has come to at the last step, in equal steps; None: it stays."""
    save_every: int = Field(default=60, ge=1)
    """Steps between checkpoints."""


def run(config: SftConfig) -> dict[str, Any]:
    return launch("sft", "base", config, train)


def train(checkpoint: Checkpoint, config: SftConfig, workers: Workers, saves: Any, drawn: Any) -> Position:
    vlm, vocabulary = checkpoint.vlm, checkpoint.vocabulary
    trained = tuned(checkpoint, config)
    vlm.train()
    optimiser = adamw(trained, config.lr, config.weight_decay)
    items, mine = examples(
        config.data, "train", checkpoint, rank=workers.rank, world=workers.world, encode=encoder(checkpoint, config)
    )
    sampler = Sampler(
        items,
        seed=config.seed,
        size=config.studies,
        epochs=config.epochs,
        start=config.mixture,
        end=config.mixture_end,
    )
    last = saves.last()
    position = progress.read(last, trained, optimiser) if last else Position()
    saves.say(
        f"sft: {sampler.steps} steps of {config.studies} studies, {config.epochs} epochs"
        f", {workers.world} workers, from step {position.step}",
    )
    began, meter = time.monotonic(), Meter(vlm)
    for step in range(position.step, sampler.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.lr * schedule(step, sampler.steps)
        rows = rows_of(sampler.batch(step), mine)
        loss, tokens = train_step(checkpoint, rows, list(trained.values()), optimiser, config, vocabulary, meter)
        position.step, position.tokens = step + 1, position.tokens + tokens
        figures = {"loss": loss} if tokens else {}  # a step without rows has none, and 0 would be the best there is
        if tokens:
            smooth = position.notes.get("loss", loss)
            position.notes["loss"] = round(0.95 * smooth + 0.05 * loss, 6)
        cost = meter.figures()
        if drawn:
            told = {"lr": optimiser.param_groups[0]["lr"], "tokens": position.tokens}
            drawn.log(step + 1, figures | told | cost)
        if (step + 1) % 20 == 0 or step + 1 == sampler.steps:
            saves.say(
                f"sft {step + 1}/{sampler.steps} loss {position.notes.get('loss', math.nan):.4f}"
                f" {time.monotonic() - began:.0f}s",
            )
        if (step + 1) % config.save_every == 0 or step + 1 == sampler.steps:
            state = progress.snapshot(trained, optimiser, keep=workers.rank == 0)
            saves.save(partial(state.write, position=position), figures, first=workers.rank == 0)
    if drawn:
        drawn.close()
    return position


def rows_of(batch: list[Taken], mine: dict[int, Example]) -> list[Row]:
    """What of a step this worker holds, as rows."""
    return [mine[taken.place].row(taken.questions) for taken in batch if taken.place in mine]


def train_step(
    checkpoint: Checkpoint,
    rows: list[Row],
    trained: list[torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    config: SftConfig,
    vocabulary: Any,
    meter: Meter | None = None,
) -> tuple[float, float]:
    """One optimiser step; (token-mean loss, trained tokens), both over all workers. Nothing moves, moments neither,
    where no worker has a token to train: then both are 0."""
    meter = meter or Meter(checkpoint.vlm)
    device = next(checkpoint.vlm.parameters()).device
    mine = sum(sum(branch.trained) for row in rows for branch in row.branches)
    (tokens,) = total(mine)
    if not tokens:
        return 0.0, 0.0
    share = 0.0
    for micro in in_step(micro_batches(rows, config.micro_tokens), trained, vocabulary):
        with meter("data"):
            packed = pack_on(device, micro)
        with meter("update"):
            with passing(checkpoint.vlm, config):
                loss = cross_entropy(target_logprobs(checkpoint.vlm, packed, vocabulary), packed.weights, tokens)
            loss.backward()
            share += loss.item()
    meter.count(rows)
    with meter("sync"):
        sum_gradients(trained)
    (loss,) = total(share)
    if not math.isfinite(loss):
        raise FloatingPointError("the loss is not finite; the last checkpoint is kept")
    if not finite(trained):
        raise FloatingPointError("the gradient is not finite; the last checkpoint is kept")
    clip_gradients(trained, 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss, tokens


def schedule(step: int, steps: int) -> float:
    """Cosine to zero after 3 % of warm-up, as a share of the peak."""
    return min(1.0, (step + 1) / max(1, round(0.03 * steps))) * (1 + math.cos(math.pi * step / steps)) / 2


if __name__ == "__main__":
    sys.exit(command("sft", SftConfig, run))
