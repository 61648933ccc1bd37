"""Losses over packed rows: token-mean cross entropy and the GRPO objective.

Denominators are global: sums are divided by the number of trained tokens of the whole step, over all
micro-batches and workers, so a short sample's tokens weigh as much as a long one's.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.learning.head import logprobs_of
from model.learning.packing import Packed
from model.vlm.forward import embed, hidden
from model.vlm.sharing import share
from model.vlm.tokens import Vocabulary


def target_logprobs(vlm: Any, packed: Packed, vocabulary: Vocabulary) -> Tensor:
    """Natural log-probability float32[T] of each trained token; the head runs only where one is predicted."""
    share(vlm)  # transformers' attention, and ours of blocks where the mask is made of them
    embedded = embed(vlm, packed.ids, packed.is_picture, packed.features)
    states = hidden(vlm, embedded, packed.places, packed.kernel_mask)
    row, column = packed.target.unbind(1)
    return logprobs_of(vlm, states[row, column - 1], packed.ids[row, column], vocabulary)


def cross_entropy(logprobs: Tensor, weights: Tensor, tokens: float) -> Tensor:
    """Weighted sum of -log p over `tokens`, the step's global count."""
    return -(logprobs * weights).sum() / max(tokens, 1.0)


@dataclass(frozen=True, slots=True)
class Clip:
    """PPO ratio clip; asymmetric as in DAPO (arXiv 2503.14476)."""

    low: float = 0.2
    high: float = 0.28


def grpo(logprobs: Tensor, old: Tensor, advantages: Tensor, tokens: float, clip: Clip) -> Tensor:
    """Clipped policy-gradient loss, token mean (arXiv 2402.03300 eq. 3, without the KL term).

    logprobs, old, advantages: float[T], one a sampled token; tokens: the step's global count.
    """
    ratio = (logprobs - old).exp()
    clipped = ratio.clamp(1 - clip.low, 1 + clip.high)
    return -torch.minimum(ratio * advantages, clipped * advantages).sum() / max(tokens, 1.0)
