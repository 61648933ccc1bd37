"""Losses over packed rows: log-probabilities where one is predicted, and their token mean.

Denominators are global: sums are divided by the number of trained tokens of the whole step, over all
micro-batches and workers, so a short sample's tokens weigh as much as a long one's.
"""

from typing import Any

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
