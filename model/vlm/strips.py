"""Attention over a tree, strip by strip: on a CPU the way to leave out what nobody may look at.

    shared    looks at itself, causally                          P² / 2 scores, of P tokens
    branch    looks at the shared strip and, causally, itself    R (P + R), of R tokens

A dense mask computes all (P + sum of R)² scores and throws most of them away: four in five, where eight short answers
hang on a long study.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def attend_strips(module: Any, query: Tensor, key: Tensor, value: Tensor, owners: Tensor, scaling: float) -> Tensor:
    """float[B, heads, L, d], keys and values [B, kv heads, L, d] -> float[B, L, heads, d].

    owners: int32[B, 1, L, 2], segment and trunk of each token, see `model.learning.packing.Packed`.
    """
    lines = []
    for b in range(len(query)):
        parts = []
        q, k, v = query[b : b + 1], key[b : b + 1], value[b : b + 1]
        for own, trunk in _strips(owners[b, 0].tolist()):
            keys, values, mask = k[:, :, own], v[:, :, own], None
            if trunk != own:
                keys, values = torch.cat([k[:, :, trunk], keys], 2), torch.cat([v[:, :, trunk], values], 2)
                mask = torch.ones(own.stop - own.start, keys.shape[2], dtype=torch.bool, device=q.device)
                mask = mask.tril(trunk.stop - trunk.start)[None, None]
            parts.append(sdpa_attention_forward(module, q[:, :, own], keys, values, mask, scaling=scaling)[0])
        lines.append(torch.cat(parts, 1))
    return torch.cat(lines)


def _strips(owners: list[list[int]]) -> Iterator[tuple[slice, slice]]:
    """Each strip of a line, and its trunk: itself, of a shared strip, of padding, and where nothing is shared."""
    place: dict[int, slice] = {}
    start = 0
    for end in range(1, len(owners) + 1):
        if end == len(owners) or owners[end] != owners[start]:
            segment, trunk = owners[start]
            own = place[segment] = slice(start, end)
            yield own, place.get(trunk, own)
            start = end
