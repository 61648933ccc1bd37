"""Pictures to visual tokens: Qwen's patch order, and a tower pass that takes equal pictures together.

transformers' own tower calls attention once a picture, or a window of one, and layer. Here all pictures of one size go
through each block together, in one call for each length of window there is: at the paper's size, 32 slices of 252 px,
that is 3 calls instead of 288 in a block of windows (of 16, 4 and 1 tokens), and 1 instead of 32 in a block over whole
pictures. The result is the same. Qwen3-VL's tower, and one told to use another kernel than SDPA,
go through transformers' code.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

from model.interface.contract import Contract

MEAN, STD = 0.5, 0.5
"""Pixels 0..255 become -1..1. Written into preprocessor_config.json as well."""
TEMPORAL = 2
"""A still picture fills both frames of a temporal patch, as in Qwen2.5-VL."""


def channels(pictures: np.ndarray, contract: Contract) -> np.ndarray:
    """Pictures as `prepare` and `crop` make them -> uint8[n, 3, h, w], as an image processor would be given them."""
    if pictures.ndim == 4:
        return pictures.transpose(0, 3, 1, 2)
    height, width = pictures.shape[1:]
    out = np.repeat(pictures[:, None], 3, 1)
    if contract.channels == "place":
        out[:, 1] = np.rint(np.linspace(0, 255, width)).astype(np.uint8)
        out[:, 2] = np.rint(np.linspace(0, 255, height)).astype(np.uint8)[:, None]
    return out


def patchify(pictures: np.ndarray, contract: Contract) -> Tensor:
    """Pictures -> float32[n, patches, 3 * 2 * p * p], in the order of Qwen2VLImageProcessor.

    pictures: uint8[n, h, w], or [n, h, w, 3]; both sides multiples of `contract.factor`.
    """
    n, height, width = pictures.shape[:3]
    if height % contract.factor or width % contract.factor:
        raise ValueError(f"picture of {height}x{width} px: sides must be multiples of {contract.factor}")
    p, m = contract.patch, contract.merge
    x = (torch.from_numpy(np.ascontiguousarray(channels(pictures, contract))).float() / 255 - MEAN) / STD
    x = x.view(n, 3, height // (p * m), m, p, width // (p * m), m, p).permute(0, 2, 5, 3, 6, 1, 4, 7)
    x = x.reshape(n, -1, 3, 1, p * p)  # (n, patches, 3, 1, p * p)
    return x.expand(-1, -1, -1, TEMPORAL, -1).reshape(n, x.shape[1], -1)


def grid_of(picture_shape: Sequence[int], contract: Contract) -> tuple[int, int]:
    """Visual tokens (rows, columns) of a picture of (h, w) or (h, w, 3) px, after merging."""
    height, width = picture_shape[:2]
    return height // contract.factor, width // contract.factor


def encode(visual: Any, pictures: Sequence[np.ndarray], contract: Contract) -> list[Tensor]:
    """Each picture's visual tokens, float[tokens, hidden], in the order given.

    pictures: uint8[h, w] or [h, w, 3] each, of any mix of sizes. Equal sizes share a pass.
    """
    found: list[Tensor | None] = [None] * len(pictures)
    by_size: dict[tuple[int, ...], list[int]] = {}
    for i, picture in enumerate(pictures):
        by_size.setdefault(picture.shape, []).append(i)
    for places in by_size.values():
        tokens = encode_equal(visual, np.stack([pictures[i] for i in places]), contract)
        for i, token in zip(places, tokens, strict=True):
            found[i] = token
    return [tokens for tokens in found if tokens is not None]


def encode_equal(visual: Any, pictures: np.ndarray, contract: Contract) -> Tensor:
    """uint8[n, h, w] -> float[n, tokens, hidden]."""
    device = visual.patch_embed.proj.weight.device
    patches = normalised(patchify(pictures, contract).to(device), visual.config)
    rows, columns = (side // contract.patch for side in pictures.shape[1:3])
    if hasattr(visual, "fullatt_block_indexes") and visual.config._attn_implementation == "sdpa":
        return merge(visual, whole_picture_pass(visual, patches, rows, columns, contract.merge))
    grid = torch.tensor([[1, rows, columns]] * len(pictures), device=device)
    out = visual(patches.flatten(0, 1).to(visual.dtype), grid_thw=grid)
    tokens = torch.cat([out.pooler_output, *getattr(out, "deepstack_features", ())], -1)
    return tokens.view(len(pictures), -1, tokens.shape[-1])


def normalised(patches: Tensor, config: Any) -> Tensor:
    """Patches of -1..1 as the tower's own processor would have normalised them.

    config: the tower's; `image_mean` and `image_std` in it where they aren't MEAN and STD (CLIP's, of Qwen2.5-VL).
    """
    mean, std = getattr(config, "image_mean", None), getattr(config, "image_std", None)
    if mean is None or std is None:
        return patches
    mean_C, std_C = torch.tensor(mean, device=patches.device), torch.tensor(std, device=patches.device)
    by_channel = patches.view(*patches.shape[:-1], 3, -1)
    return (((by_channel * STD + MEAN) - mean_C[:, None]) / std_C[:, None]).flatten(-2)


def merge(visual: Any, x_NPD: Tensor) -> Tensor:
    """Patches to tokens: [n, patches, tower] -> [n, tokens, hidden]."""
    return visual.merger(x_NPD.flatten(0, 1)).view(len(x_NPD), -1, visual.merger.mlp[-1].out_features)


def whole_picture_pass(visual: Any, patches: Tensor, rows: int, columns: int, merge: int) -> Tensor:
    """The blocks of a Qwen2.5-VL tower over n equal pictures: [n, patches, pixels] -> [n, patches, tower]."""
    n, length, _ = patches.shape
    weight = visual.patch_embed.proj.weight
    x_NPD = linear(patches.to(weight.dtype), weight.flatten(1))  # the convolution's stride is its kernel
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    place = torch.stack([row, column]).view(2, rows // merge, merge, columns // merge, merge)
    place = place.permute(0, 1, 3, 2, 4).reshape(2, -1).T.to(x_NPD.device)
    order, sizes = None, [(1, length)]
    if len(visual.fullatt_block_indexes) < len(visual.blocks):
        groups = windows(rows // merge, columns // merge, visual.window_size // (visual.patch_size * merge), merge)
        order, sizes = torch.cat([group.flatten() for group in groups]).to(place.device), [g.shape for g in groups]
        x_NPD, place = x_NPD[:, order], place[order]
    cos, sin = visual.rotary_pos_emb(x_NPD, place)
    for i, block in enumerate(visual.blocks):
        attention = block.attn
        q, k, v = attention.qkv(block.norm1(x_NPD)).view(n, length, 3, attention.num_heads, -1).unbind(2)
        q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
        seen = _attended(q, k, v, [(1, length)] if i in visual.fullatt_block_indexes else sizes)
        x_NPD = x_NPD + attention.proj(seen.flatten(2))
        x_NPD = x_NPD + block.mlp(block.norm2(x_NPD))
    return x_NPD if order is None else torch.empty_like(x_NPD).index_copy_(1, order, x_NPD)


def windows(rows: int, columns: int, side: int, merge: int) -> list[Tensor]:
    """The patches of each window of a picture, windows of one size together: int64[windows, patches] each.

    rows, columns: tokens of the picture; side: of a window, tokens. Those at the far edges are what is left. A token's
    patches lie behind one another.
    """
    token = torch.arange(rows * columns).view(rows, columns)
    found: dict[int, list[Tensor]] = {}
    for band in token.split(side):
        for window in band.split(side, 1):
            patches = window.reshape(-1, 1) * merge**2 + torch.arange(merge**2)
            found.setdefault(window.numel(), []).append(patches.flatten())
    return [torch.stack(some) for some in found.values()]


def _attended(q: Tensor, k: Tensor, v: Tensor, groups: Sequence[tuple[int, ...]]) -> Tensor:
    """Attention inside windows that lie behind one another: [n, patches, heads, d] of each to the same.

    groups: (windows, patches) of each size there is, in order.
    """
    n, _, heads, d = q.shape
    lengths = [count * size for count, size in groups]
    parts = []
    for (_, size), *qkv in zip(groups, *(x.split(lengths, 1) for x in (q, k, v)), strict=True):
        seen = scaled_dot_product_attention(*(x.reshape(-1, size, heads, d).transpose(1, 2) for x in qkv))
        parts.append(seen.transpose(1, 2).reshape(n, -1, heads, d))
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)
