"""Where a language layer looks, taught: some heads of one layer learn to rest on what is named.

Looking a thing up forms late by itself (docs/LOG.md): the loss on coordinates alone lets a tiny model
guess the usual place for thousands of steps. Masks say which tokens hold the thing, so the mass that
chosen heads put on them is a loss of its own, in pretraining only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb


@dataclass(frozen=True, slots=True)
class Look:
    """A token that should look at others of its row."""

    column: int
    at: np.ndarray
    """int[n], columns of the tokens that hold what it is about."""


class Watch:
    """Recomputes the attention of some heads of one layer, for chosen queries only, beside the pass itself."""

    def __init__(self, vlm: Any, layer: int, heads: Sequence[int]) -> None:
        self.attention = vlm.model.language_model.layers[layer].self_attn
        self.heads = list(heads)
        self.seen: dict[str, Any] = {}
        self.hook = self.attention.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.seen = {"states": kwargs["hidden_states"] if not args else args[0], "turn": kwargs["position_embeddings"]}

    def close(self) -> None:
        self.hook.remove()

    def weights(self, row: int, columns: Tensor, mask: Tensor) -> Tensor:
        """Natural log of the attention of queries at int[T] `columns` of a batch row: float[heads, T, L].

        mask: bool[B, L, L] of the last pass.
        """
        attention = self.attention
        states = self.seen["states"][row]  # (L, hidden)
        cos, sin = (turn[row, None] for turn in self.seen["turn"])
        q = attention.q_proj(states[columns]).view(len(columns), -1, attention.head_dim).transpose(0, 1)
        k = attention.k_proj(states).view(len(states), -1, attention.head_dim).transpose(0, 1)
        q, _ = apply_rotary_pos_emb(q[None], q[None], cos[:, columns], sin[:, columns])
        k, _ = apply_rotary_pos_emb(k[None], k[None], cos, sin)
        group = [head // attention.num_key_value_groups for head in self.heads]
        scores = q[0, self.heads] @ k[0, group].transpose(1, 2) * attention.scaling
        return scores.masked_fill(~mask[row, columns], float("-inf")).log_softmax(-1)

    def loss(self, looks: Sequence[Sequence[Look]], mask: Tensor) -> Tensor:
        """Mean of -log(mass on what should be looked at). looks: by batch row."""
        losses = []
        for row, some in enumerate(looks):
            if not some:
                continue
            wanted = torch.zeros(len(some), mask.shape[-1], dtype=torch.bool)
            for i, look in enumerate(some):
                wanted[i, look.at] = True
            weights = self.weights(row, torch.tensor([look.column for look in some]), mask)
            losses.append(-weights.masked_fill(~wanted, float("-inf")).logsumexp(-1).flatten())
        return torch.cat(losses).mean() if losses else torch.zeros(())
