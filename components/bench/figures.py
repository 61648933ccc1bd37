"""The figures: what reading a study once saves, in decoding and in learning, each against one peer.

Peers run on the same weights, functions and thread; they differ in what they read again, and only in that.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from components.bench.dictation import Dictated, dictated, logprobs, noise, rereading, together
from components.bench.measure import Comparison
from components.bench.paper import FIGURES as PAPER
from components.bench.reading import read_ct_512x512x300
from components.bench.seeing import tower_windows
from components.bench.tracing import mask_to_trace_2d, mask_to_trace_3d
from model.imaging.crop import crop
from model.learning.losses import Clip, grpo, target_logprobs
from model.learning.packing import Row, pack
from model.learning.rewards import advantages
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.regions import features_of
from model.vlm.rollout import Rollout

GROUP = 8
REWARDS = (1.0, 0.0, 0.8, 1.0, 0.0, -0.2, 1.0, 0.0)
"""Of a group, any that differ: they only weight tokens."""
ASKED = (
    "left thalamus",
    "right thalamus",
    "left hippocampus",
    "right hippocampus",
    "left caudate",
    "right caudate",
    "brainstem",
    "corpus callosum",
)


def decode_3d_3rounds(checkpoint: Checkpoint) -> Comparison:
    """One answer about a volume that points three times, each time answered with crops."""
    random = np.random.default_rng(0)
    said = dictated(noise(checkpoint.contract, random), ASKED[0], 3, checkpoint.vocabulary, random)
    return Comparison(
        ours=lambda: logprobs(together(checkpoint, [said])),
        peer=lambda: rereading(checkpoint, said).gather(-1, torch.tensor(said.ids)[:, None])[:, 0],
        peer_is="the same functions, but each round encodes all pictures and prefills the whole row again",
        n=1,
    )


def decode_group8(checkpoint: Checkpoint) -> Comparison:
    """Eight samples of one question about a volume, pointing one to three times."""
    return _batched(
        checkpoint,
        _group(checkpoint),
        "the same engine, one sample after another: the volume is encoded and prefilled for each, nothing is batched",
    )


def decode_followup(checkpoint: Checkpoint) -> Comparison:
    """Eight questions about one volume, one box each."""
    random = np.random.default_rng(2)
    prepared = noise(checkpoint.contract, random)
    said = [dictated(prepared, name, 1, checkpoint.vocabulary, random) for name in ASKED]
    return _batched(
        checkpoint,
        said,
        "the same engine, one question after another: the volume is encoded and prefilled for each, nothing is batched",
    )


def grpo_update_g8(checkpoint: Checkpoint) -> Comparison:
    """The gradient of one GRPO group: the study as one shared strip, its visual tokens kept from the rollout."""
    freeze_tower(checkpoint.vlm)
    rollouts = together(checkpoint, _group(checkpoint))
    weights = advantages(REWARDS)
    pictures = [_pictures(checkpoint, rollout) for rollout in rollouts]

    def ours() -> Tensor:
        features = [*rollouts[0].pictures, *(f for r in rollouts for f in r.features)]
        row = Row(rollouts[0].shared, [r.branch for r in rollouts], features, weights)
        return _gradient(checkpoint, row, rollouts, rollouts)

    def peer() -> Tensor:
        total = torch.zeros(())
        for rollout, weight, shown in zip(rollouts, weights, pictures, strict=True):
            features = features_of(checkpoint.vlm, shown, checkpoint.contract)
            row = Row(rollout.shared, [rollout.branch], features, [weight])
            total = total + _gradient(checkpoint, row, [rollout], rollouts)
        return total

    return Comparison(
        ours,
        peer,
        "the same loss, but each sample is a row of its own, its pictures encoded and its prompt run again",
        n=GROUP,
        tolerance=1e-5,
    )


FIGURES: dict[str, Callable[[Checkpoint], Comparison]] = {
    figure.__name__: figure
    for figure in (
        decode_3d_3rounds,
        decode_group8,
        decode_followup,
        grpo_update_g8,
        read_ct_512x512x300,
        mask_to_trace_2d,
        mask_to_trace_3d,
        tower_windows,
    )
} | PAPER


def _group(checkpoint: Checkpoint) -> list[Dictated]:
    random = np.random.default_rng(1)
    prepared = noise(checkpoint.contract, random)
    return [dictated(prepared, ASKED[0], 1 + k % 3, checkpoint.vocabulary, random) for k in range(GROUP)]


def _batched(checkpoint: Checkpoint, said: list[Dictated], peer_is: str) -> Comparison:
    """Answers about one study: rows of one batch, or one by one."""
    return Comparison(
        ours=lambda: logprobs(together(checkpoint, said)),
        peer=lambda: torch.cat([logprobs(together(checkpoint, [one])) for one in said]),
        peer_is=peer_is,
        n=len(said),
    )


def _pictures(checkpoint: Checkpoint, rollout: Rollout) -> list[np.ndarray]:
    """Everything a rollout was shown, in order."""
    crops = [p for step in rollout.steps if step.box for p in crop(rollout.prepared, step.box, checkpoint.contract)]
    return [*rollout.prepared.slices, *crops]


def _gradient(checkpoint: Checkpoint, row: Row, inside: list[Rollout], group: list[Rollout]) -> Tensor:
    """A row's share of the group's gradient, float[trained parameters]. inside: the rollouts that the row holds."""
    packed = pack([row])
    new = target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary)
    loss = grpo(new, logprobs(inside), packed.weights, sum(len(r.logprobs) for r in group), Clip())
    trained = [p for p in checkpoint.vlm.parameters() if p.requires_grad]
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, trained)])
