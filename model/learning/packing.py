"""Rows that share their study: one strip of pictures, many branches, a tree mask.

    shared  s0 s1 s2                      1 . . . . . .      a branch sees the shared strip and
    branch0          a0 a1                1 1 1 1 1 . .      itself, never its siblings; positions
    branch1                b0 b1          1 1 1 . . 1 1      restart where the shared strip ended

Questions about one study (SFT), or samples of one question (GRPO), cost one pass over its pictures.
The result equals separate rows (prompt sharing: verl's PrefixGrouper, AReaL's tree training).

Rows lie side by side, padded to one length, on the CPU, where few shapes should ever occur; on CUDA end to end in one
line, without padding between them, under the same rule of who sees whom.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from model.vlm.blocks import tree_blocks
from model.vlm.tokens import Strip

LONG = 1024
"""Tokens of a line from which attending strip by strip costs less than one call for all of them."""


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

    @property
    def pairs(self) -> float:
        """Of tokens of which one looks at the other, as halves of squares: none between branches."""
        shared = len(self.shared)
        return shared**2 / 2 + sum(len(branch) * (shared + len(branch) / 2) for branch in self.branches)


@dataclass(frozen=True, slots=True)
class Packed:
    """Lines of rows, padded on the right to one length."""

    ids: Tensor
    """int64[B, L]"""
    is_picture: Tensor
    """bool[B, L]"""
    places: Tensor
    """int64[B, L, 3]"""
    segment: Tensor
    """int32[B, L]: which strip of its line a token belongs to, -1 on padding."""
    trunk: Tensor
    """int32[B, L]: the shared strip that it sees besides its own, -1 on padding."""
    features: list[Tensor]
    target: Tensor
    """int64[T, 2]: (line, column) of each trained token; column - 1 predicts it, same branch always."""
    weights: Tensor
    """float[T]"""

    @property
    def mask(self) -> Tensor:
        """bool[B, L, L], True where a query may look."""
        return tree_mask(self.segment, self.trunk)

    @property
    def kernel_mask(self) -> Tensor | BlockMask:
        """The same, as the attention of this device wants it: blocks on CUDA; on the CPU dense, or of long lines
        int32[B, L, 2], the segment and the trunk of each token."""
        if self.segment.is_cuda:
            return tree_blocks(self.segment, self.trunk)
        return self.mask if self.ids.shape[1] < LONG else torch.stack([self.segment, self.trunk], -1)

    def to(self, device: torch.device) -> "Packed":
        return Packed(
            self.ids.to(device),
            self.is_picture.to(device),
            self.places.to(device),
            self.segment.to(device),
            self.trunk.to(device),
            [feature.to(device) for feature in self.features],
            self.target.to(device),
            self.weights.to(device),
        )


def pack(rows: Sequence[Row], multiple: int = 64) -> Packed:
    """Lay rows side by side. Lengths are rounded up, so that few shapes ever occur."""
    return _packed([[row] for row in rows], multiple)


def pack_end_to_end(rows: Sequence[Row], multiple: int = 128) -> Packed:
    """Lay rows one behind another in a single line: padding only at its end, up to a whole block of the mask."""
    return _packed([rows], multiple)


def pack_on(device: torch.device, rows: Sequence[Row]) -> Packed:
    """As that device wants them, and there."""
    return (pack_end_to_end(rows) if device.type == "cuda" else pack(rows)).to(device)


def _packed(lines: Sequence[Sequence[Row]], multiple: int) -> Packed:
    length = -(-max(sum(map(len, line)) for line in lines) // multiple) * multiple
    ids = torch.zeros(len(lines), length, dtype=torch.long)
    is_picture = torch.zeros_like(ids, dtype=torch.bool)
    places = torch.zeros(len(lines), length, 3, dtype=torch.long)
    segment, trunk = (torch.full_like(ids, -1, dtype=torch.int32) for _ in range(2))
    target, weights = [], []
    for b, line in enumerate(lines):
        end = 0
        for n, (root, strip, weight) in enumerate(_strips(line)):
            start, end = end, end + len(strip)
            ids[b, start:end] = torch.tensor(strip.ids)
            is_picture[b, start:end] = torch.tensor(strip.is_picture)
            places[b, start:end] = torch.tensor(strip.places)
            segment[b, start:end], trunk[b, start:end] = n, root
            trained = [start + i for i, t in enumerate(strip.trained) if t]
            target += [(b, column) for column in trained]
            weights += [weight] * len(trained)
    return Packed(
        ids,
        is_picture,
        places,
        segment,
        trunk,
        [feature for line in lines for row in line for feature in row.features],
        torch.tensor(target, dtype=torch.long).view(-1, 2),
        torch.tensor(weights),
    )


def _strips(line: Sequence[Row]) -> Iterator[tuple[int, Strip, float]]:
    """Every strip in order: the number of its trunk in the line, the strip, what its trained tokens count."""
    root = 0
    for row in line:
        yield root, row.shared, 1.0
        for k, branch in enumerate(row.branches):
            yield root, branch, row.weights[k] if row.weights else 1.0
        root += 1 + len(row.branches)


def tree_mask(segment: Tensor, trunk: Tensor) -> Tensor:
    """int[B, L] each, see `Packed` -> bool[B, L, L]: what came before, of one's own strip or of the trunk."""
    length = segment.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()
    key = segment[:, None, :]
    return causal & ((key == segment[:, :, None]) | (key == trunk[:, :, None]))


def joined(rows: Sequence[Row], tokens: int) -> list[tuple[Row, list[int]]]:
    """Rows about one study as one row, as long as it has at most `tokens`; each with the places of what it joins.

    Groups of questions about a study cost one pass over its pictures too. A study is known by its pictures: rows whose
    shared strips read alike over other pictures stay apart.
    """
    found: list[tuple[Row, list[int]]] = []
    for place, row in enumerate(rows):
        for other, places in found:
            if len(other) + len(row) - len(row.shared) <= tokens and _same_study(other, row):
                own = row.features[_pictures(row) :]
                weights = [w for some in (other, row) for w in some.weights or [1.0] * len(some.branches)]
                other.branches, other.features = [*other.branches, *row.branches], [*other.features, *own]
                other.weights = weights
                places.append(place)
                break
        else:
            found.append((Row(row.shared, row.branches, row.features, row.weights), [place]))
    return found


def _same_study(one: Row, other: Row) -> bool:
    if one.shared.ids != other.shared.ids:
        return False
    pairs = zip(one.features[: _pictures(one)], other.features[: _pictures(other)], strict=True)
    return all(a is b or torch.equal(a, b) for a, b in pairs)


def _pictures(row: Row) -> int:
    """How many of the features are of the shared strip."""
    left, count = sum(row.shared.is_picture), 0
    while left > 0:
        left -= len(row.features[count])
        count += 1
    return count
