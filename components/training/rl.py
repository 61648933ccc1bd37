"""Stage `rl`: GRPO on outcomes alone. Every sampled box is answered with real crops, in 2D and in 3D.

    for each step: draw questions; sample a group of answers to each, crops injected as they are
    pointed at (`groups`); reward; update (`policy`); listen for alarms, show some answers

A group is one packed row: the study once, the question and a sample as each of its branches. Flat groups
(all rewards equal) move nothing and are left out of the denominator.
"""

import sys
import time
from functools import partial
from typing import Any

from components.stage import command
from components.training import progress
from components.training.alarms import Alarms
from components.training.drawing import Answerable
from components.training.groups import gather
from components.training.launch import Workers, launch
from components.training.meter import Meter
from components.training.policy import Update
from components.training.progress import Position
from components.training.rl_config import RlConfig
from components.training.rollouts import backend, hand_over
from components.training.sharding import gathered
from components.training.showing import completions
from components.training.strategies import adamw, arithmetic, tuned
from model.learning.reference import Reference
from model.vlm.checkpoint import Checkpoint


def run(config: RlConfig) -> dict[str, Any]:
    return launch("rl", "sft", config, train)


def train(checkpoint: Checkpoint, config: RlConfig, workers: Workers, saves: Any, drawn: Any) -> Position:
    vlm = checkpoint.vlm
    # before a state is read back; a copy before it is spread, adapters once they are there
    copied = Reference(vlm) if config.kl != "none" and config.tune == "full" else None
    trained = tuned(checkpoint, config)
    reference = copied or (Reference(vlm) if config.kl != "none" else None)
    vlm.eval()  # nothing in the model drops out: sampling and training are one function
    optimiser = adamw(trained, config.lr, 0.0)
    asked = Answerable(config.data, checkpoint)
    position, alarms = Position(), Alarms(config.alarms)
    if last := saves.last():
        position = progress.read(last, trained, optimiser)
        alarms.put(position.hand["alarms"])
    saves.say(
        f"rl: {config.steps} steps of {config.images} + {config.volumes} questions x {config.group} answers"
        f", from step {position.step}",
    )

    began, meter, device = time.monotonic(), Meter(vlm), next(vlm.parameters()).device
    with backend(checkpoint, config) as engine:
        if position.step:
            hand_over(engine, trained, position.step)
        for step in range(position.step, config.steps):
            for part in optimiser.param_groups:
                part["lr"] = config.lr * min(1.0, (step + 1) / 10)
            with meter("rollout"), gathered(vlm), arithmetic(config, device):
                groups = gather(engine, checkpoint, asked, config, workers, step)
            update = Update(checkpoint, groups, config, reference, meter)
            figures = update.run(list(trained.values()), optimiser)
            hand_over(engine, trained, step + 1)
            position.step, position.tokens = step + 1, position.tokens + figures["tokens"]
            for name, value in figures.items():
                position.notes[name] = round(0.9 * position.notes.get(name, value) + 0.1 * value, 6)
            for name, reason in alarms.hear(figures).items():
                saves.say(f"rl {step + 1}/{config.steps} alarm {name}: {reason}")
            rung = {f"alarms/{name}": float(times) for name, times in alarms.rung.items()}
            position.notes |= rung
            cost = meter.figures()
            if drawn:
                drawn.log(step + 1, figures | rung | cost)
            if drawn and groups and config.show_every and (step + 1) % config.show_every == 0:
                drawn.show(step + 1, completions(groups, checkpoint.contract))
            if (step + 1) % 5 == 0 or step + 1 == config.steps:
                told = " ".join(
                    f"{name} {position.notes[name]:.3f}"
                    for name in ("reward", "correct", "valid_format", "crops", "flat")
                )
                saves.say(f"rl {step + 1}/{config.steps} {told} {time.monotonic() - began:.0f}s")
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                state = progress.snapshot(trained, optimiser, keep=workers.rank == 0)
                position.hand["alarms"] = alarms.state()
                saves.save(partial(state.write, position=position), figures, first=workers.rank == 0)
    if drawn:
        drawn.close()
    return position


if __name__ == "__main__":
    sys.exit(command("rl", RlConfig, run))
