"""Rows that share their study: one strip of pictures, many branches, a tree mask.

    shared  s0 s1 s2                      1 . . . . . .      a branch sees the shared strip and
    branch0          a0 a1                1 1 1 1 1 . .      itself, never its siblings; positions
    branch1                b0 b1          1 1 1 . . 1 1      restart where the shared strip ended

Questions about one study (SFT), or samples of one question (GRPO), cost one pass over its pictures.
The result equals separate rows (prompt sharing: verl's PrefixGrouper, AReaL's tree training).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.vlm.tokens import Strip


@dataclass(slots=True)
class Row:
    shared: Strip
    branches: list[Strip]
    features: list[Tensor]
    """Visual tokens of every picture, shared strip first, then branch by branch."""
    weights: list[float] = field(default_factory=list)
    """What a trained token of each branch counts; 1 when empty."""

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self.branches))


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch of rows, padded on the right to one length."""

    ids: Tensor
    """int64[B, L]"""
    is_picture: Tensor
    """bool[B, L]"""
    places: Tensor
    """int64[B, L, 3]"""
    mask: Tensor
    """bool[B, L, L], True where a query may look."""
    features: list[Tensor]
    target: Tensor
    """int64[T, 2]: (row, column) of each trained token; column - 1 predicts it, same branch always."""
    weights: Tensor
    """float[T]"""

    def to(self, device: torch.device) -> "Packed":
        return Packed(
            self.ids.to(device),
            self.is_picture.to(device),
            self.places.to(device),
            self.mask.to(device),
            [feature.to(device) for feature in self.features],
            self.target.to(device),
            self.weights.to(device),
        )


def pack(rows: Sequence[Row], multiple: int = 64) -> Packed:
    """Lay rows side by side. Lengths are rounded up, so that few shapes ever occur."""
    length = -(-max(map(len, rows)) // multiple) * multiple
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    is_picture = torch.zeros_like(ids, dtype=torch.bool)
    places = torch.zeros(len(rows), length, 3, dtype=torch.long)
    owner = torch.full_like(ids, -2)  # -2 padding, -1 shared, else the branch
    target, weights = [], []
    for b, row in enumerate(rows):
        start = 0
        for k, strip in enumerate([row.shared, *row.branches]):
            end = start + len(strip)
            ids[b, start:end] = torch.tensor(strip.ids)
            is_picture[b, start:end] = torch.tensor(strip.is_picture)
            places[b, start:end] = torch.tensor(strip.places)
            owner[b, start:end] = k - 1
            trained = [start + i for i, t in enumerate(strip.trained) if t]
            target += [(b, column) for column in trained]
            weights += [row.weights[k - 1] if row.weights and k else 1.0] * len(trained)
            start = end
    return Packed(
        ids,
        is_picture,
        places,
        tree_mask(owner),
        [feature for row in rows for feature in row.features],
        torch.tensor(target, dtype=torch.long).view(-1, 2),
        torch.tensor(weights),
    )


def tree_mask(owner: Tensor) -> Tensor:
    """owner: int64[B, L], -1 shared, -2 padding, else a branch -> bool[B, L, L]."""
    length = owner.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=owner.device).tril()
    query, key = owner[:, :, None], owner[:, None, :]
    return causal & ((key == query) | ((key == -1) & (query != -2)))
