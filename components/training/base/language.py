"""The second half of pretraining: the language side learns to look things up in a frozen tower's tokens.

Pictures are encoded once and kept; each step draws scenes and many lessons about each, packed as
branches of one row, so that a volume's 600 tokens of pictures are paid for once for a dozen lessons.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.training.base.lessons import Teacher
from components.training.base.scenes import Scene
from model.interface.contract import Contract
from model.learning.packing import Packed, Row, pack
from model.vlm.forward import embed, hidden, logits
from model.vlm.tokens import Strip, Vocabulary, ask, open_study
from model.vlm.tower import encode_equal, grid_of

BLUR = (0.06, 0.24, 0.4, 0.24, 0.06)
"""A coordinate's target is spread over its neighbours (-2 … 2 px): being one off is not being wrong."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A scene with its pictures already encoded."""

    teacher: Teacher
    shared: Strip
    features: list[Tensor]
    """bfloat16[tokens, hidden] a picture."""


@torch.no_grad()
def encode_scenes(
    vlm: Any,
    scenes: Sequence[Scene],
    names: Sequence[str],
    first_lesion: int,
    contract: Contract,
    vocabulary: Vocabulary,
    random: np.random.Generator,
) -> list[Taught]:
    taught = []
    for scene in scenes:
        slices = scene.prepared.slices
        features = encode_equal(vlm.model.visual, slices, contract).bfloat16()
        shared = open_study(vocabulary, [grid_of(slices.shape, contract)] * len(slices), scene.dimension, contract)
        teacher = Teacher(
            scene.boxes(names), scene.absent(names), names[first_lesion:], flat=scene.dimension == 2, random=random
        )
        taught.append(Taught(teacher, shared, list(features)))
    return taught


def row_of(taught: Taught, lessons: int, vocabulary: Vocabulary) -> Row:
    branches = []
    for text, answer in taught.teacher.lessons(lessons):
        branch = ask(taught.shared, vocabulary, text)
        branch.write(vocabulary.own(answer), trained=True)
        branches.append(branch)
    return Row(taught.shared, branches, [f.float() for f in taught.features])


def lesson_loss(vlm: Any, packed: Packed, vocabulary: Vocabulary, number_ids: Tensor) -> tuple[Tensor, float]:
    """Token-mean cross entropy with blurred coordinates, and the share of tokens guessed right."""
    states = hidden(vlm, embed(vlm, packed.ids, packed.is_picture, packed.features), packed.places, packed.mask)
    row, column = packed.target.unbind(1)
    scores = logits(vlm, states[row, column - 1], vocabulary)
    wanted = packed.ids[row, column]
    logprobs = scores.log_softmax(-1)
    loss = -logprobs.gather(-1, wanted[:, None])[:, 0]
    value = torch.full((scores.shape[-1],), -1)
    value[number_ids] = torch.arange(len(number_ids))
    number = value[wanted]
    is_number = number >= 0
    if is_number.any():
        near = (number[is_number, None] + torch.arange(-2, 3)).clamp(0, len(number_ids) - 1)
        blurred = -(logprobs[is_number].gather(-1, number_ids[near]) * torch.tensor(BLUR)).sum(-1)
        loss = loss.masked_scatter(is_number, blurred)
    return loss.mean(), float((scores.argmax(-1) == wanted).float().mean())


def teach(
    vlm: Any,
    images: Sequence[Taught],
    volumes: Sequence[Taught],
    vocabulary: Vocabulary,
    *,
    steps: int,
    lr: float,
    rows: tuple[int, int],
    lessons: tuple[int, int],
    random: np.random.Generator,
    report: Callable[[int, dict[str, float]], None],
) -> None:
    """rows, lessons: (images, volumes) a step. The tower must be frozen."""
    number_ids = torch.tensor([vocabulary.id(str(n)) for n in range(256)])
    trained = [p for p in vlm.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=lr, weight_decay=0.02, betas=(0.9, 0.98))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        seen = {}
        for pool, n, k, kind in ((images, rows[0], lessons[0], "2d"), (volumes, rows[1], lessons[1], "3d")):
            chosen = [row_of(pool[i], k, vocabulary) for i in random.integers(0, len(pool), n)]
            loss, right = lesson_loss(vlm, pack([r for r in chosen if r.branches], 128), vocabulary, number_ids)
            loss.backward()
            seen |= {f"loss_{kind}": loss.item(), f"right_{kind}": right}
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        report(step + 1, seen)
