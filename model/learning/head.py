"""The head, run only where a token is predicted, and never on more scores at once than memory should hold.

Scores of Qwen's 152,000 tokens are 0.6 MB a place in fp32, and the backward pass wants several copies. Past `AT_ONCE`
they are made chunk by chunk, and again in the backward pass, as in chunked cross entropy (torchtune, Liger,
`torch.nn.functional.linear_cross_entropy`); unlike those this is the model's own head, with whatever adapter or hook
it has. A small vocabulary never gets there.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from model.vlm.forward import logits
from model.vlm.tokens import Vocabulary

AT_ONCE = 1 << 25
"""Scores made together, places x vocabulary: 128 MB in fp32, 220 places of Qwen's."""


def logprobs_of(vlm: Any, states: Tensor, ids: Tensor, vocabulary: Vocabulary, at_once: int = AT_ONCE) -> Tensor:
    """Natural log-probability float32[T] of each token, from the state before it.

    states: float[T, hidden]; ids: int64[T]. What may never be sampled has none: -inf, whichever way it is made.
    """
    some = max(1, at_once // vlm.config.get_text_config().vocab_size)
    if len(ids) <= some:
        return _logprobs(vlm, states, ids, vocabulary)
    parts = [
        checkpoint(_logprobs, vlm, *part, vocabulary, use_reentrant=False)
        for part in zip(states.split(some), ids.split(some), strict=True)
    ]
    return torch.cat(parts)


def _logprobs(vlm: Any, states: Tensor, ids: Tensor, vocabulary: Vocabulary) -> Tensor:
    return logits(vlm, states, vocabulary).log_softmax(-1).gather(-1, ids[:, None])[:, 0]
