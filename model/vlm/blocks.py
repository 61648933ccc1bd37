"""Attention over a tree of strips by blocks of 128 x 128: what nobody may look at is never computed.

A dense mask is exact everywhere and has length² bytes: 64 MB of 8,000 tokens, 256 MB of 16,000. On CUDA FlexAttention
reads a mask of blocks instead, and skips the blocks of other branches and of other rows. It has no backward on the CPU,
so the mask is proved there by its forward pass; `model.learning.packing` chooses by device.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention


def tree_blocks(segment: Tensor, trunk: Tensor) -> BlockMask:
    """segment, trunk: int[B, L], see `packing.Packed` -> the mask that `packing.tree_mask` makes, as blocks."""
    batch, length = segment.shape

    def may_look(b: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        seen = segment[b, key]
        return (key <= query) & ((seen == segment[b, query]) | (seen == trunk[b, query]))

    return create_block_mask(may_look, batch, None, length, length, device=segment.device)


def attend_blocks(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask, scaling: float) -> Tensor:
    """float[B, heads, L, d], keys and values [B, kv heads, L, d] -> float[B, L, heads, d]."""
    kernel = _compiled() if query.is_cuda else flex_attention
    seen = kernel(query, key, value, block_mask=mask, scale=scaling, enable_gqa=query.shape[1] != key.shape[1])
    return seen.transpose(1, 2).contiguous()


@cache
def _compiled() -> Any:
    """Once for all lengths: static shapes would be compiled again for each new one, seconds a time."""
    return torch.compile(flex_attention, dynamic=True)
