"""Groups of an untrained small model, judged as a test wishes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from components.training.drawing import Answerable
from components.training.groups import Group, gather
from components.training.launch import Workers
from components.training.policy import Update
from components.training.rl_config import RlConfig
from model.learning.reference import Reference
from model.vlm.backend import LocalEngine
from model.vlm.checkpoint import Checkpoint
from tests.components import world

BOXED = {2: "<think>At <|box_start|>[4,4,20,20]<|box_end|>", 3: "<think>At <|box_start|>[4,4,0,20,20,2]<|box_end|>"}


def config(root: Path, **settings) -> RlConfig:
    told: dict[str, Any] = {
        "steps": 4,
        "images": 2,
        "volumes": 1,
        "group": 4,
        "max_tokens": 10,
        "save_every": 1,
        "show_every": 0,
    }
    return RlConfig(sft=world.checkpoint(root / "sft"), data=world.data(root / "data"), **told | settings)


def groups(checkpoint: Checkpoint, config: RlConfig) -> list[Group]:
    """A step's, their answers cut to lengths of their own: an untrained model ends none."""
    asked = Answerable(config.data, checkpoint)
    made = gather(LocalEngine(checkpoint), checkpoint, asked, config, Workers(), 0)
    for k, rollout in enumerate(rollout for group in made for rollout in group.rollouts):
        for said in (rollout.branch.ids, rollout.branch.places, rollout.branch.is_picture, rollout.branch.trained):
            del said[len(said) - k % 4 :]
        del rollout.logprobs[len(rollout.logprobs) - k % 4 :]
    return made


def rewarded(group: Group, rewards: list[float], *, whole: bool = True) -> Group:
    """whole: judge answers of an untrained model, which never end, as if they had."""
    for rollout in group.rollouts:
        rollout.truncated = not whole
    return Group(group.rollouts, group.traces, rewards, group.sums)


def weights(checkpoint: Checkpoint) -> list[torch.Tensor]:
    return [p.detach().clone() for p in checkpoint.vlm.parameters()]


def step(
    checkpoint: Checkpoint,
    some: list[Group],
    config: RlConfig,
    *,
    lr: float = 0.1,
    reference: Reference | None = None,
) -> dict[str, float]:
    """One step of plain gradient descent."""
    trained = [p for name, p in checkpoint.vlm.named_parameters() if "visual" not in name]
    return Update(checkpoint, some, config, reference).run(trained, torch.optim.SGD(trained, lr=lr))


def equal(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor], within: float = 0.0) -> bool:
    return all(torch.allclose(p, q, atol=within, rtol=0) for p, q in zip(some, others, strict=True))


def boxed(checkpoint: Checkpoint, drawn):
    """`sampling.draw` that first says a box, four numbers on an image and six in a volume."""

    def draw(scores, rollouts, sampling):
        said = drawn(scores, rollouts, sampling)
        for row, rollout in enumerate(rollouts):
            ids = checkpoint.vocabulary.own(BOXED[rollout.prepared.dimension])
            if len(rollout.logprobs) < len(ids):
                token = ids[len(rollout.logprobs)]
                said[row] = token, float(scores[row].log_softmax(-1)[token])
        return said

    return draw
