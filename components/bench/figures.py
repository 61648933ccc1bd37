"""The figures: what reading a study once saves, in decoding and in learning, each against one peer.

Peers run on the same weights, functions and thread; they differ in what they read again, and only in that.
"""

from collections.abc import Callable

import numpy as np
import torch

from components.bench.dictation import Dictated, dictated, logprobs, noise, rereading, together
from components.bench.measure import Comparison
from components.bench.paper import FIGURES as PAPER
from components.bench.reading import read_ct_512x512x300
from components.bench.seeing import tower_windows
from components.bench.tracing import mask_to_trace_2d, mask_to_trace_3d
from components.bench.tuning import sft_samples, sft_samples_by_length
from components.bench.updating import GROUP, group, grpo_step, grpo_update_g8, grpo_update_g8_tiny
from model.vlm.checkpoint import Checkpoint

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
        group(checkpoint, GROUP),
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


FIGURES: dict[str, Callable[[Checkpoint], Comparison]] = {
    figure.__name__: figure
    for figure in (
        decode_3d_3rounds,
        decode_group8,
        decode_followup,
        grpo_update_g8,
        grpo_update_g8_tiny,
        grpo_step,
        sft_samples,
        sft_samples_by_length,
        read_ct_512x512x300,
        mask_to_trace_2d,
        mask_to_trace_3d,
        tower_windows,
    )
} | PAPER


def _batched(checkpoint: Checkpoint, said: list[Dictated], peer_is: str) -> Comparison:
    """Answers about one study: rows of one batch, or one by one."""
    return Comparison(
        ours=lambda: logprobs(together(checkpoint, said)),
        peer=lambda: torch.cat([logprobs(together(checkpoint, [one])) for one in said]),
        peer_is=peer_is,
        n=len(said),
    )
