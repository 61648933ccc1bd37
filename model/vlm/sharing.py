"""Attention over a prefix that many rows share and that is kept once.

    prefixes   S studies     [S, kv heads, P, d]      read by every row that asks about the study
    own        R rows        [R, kv heads, K, d]      what each row was asked, said and shown

The queries of all rows of a study meet its prefix in one matrix product, so that neither its keys nor its values are
ever copied. transformers hands whatever `update` returns to the attention function: ours is registered by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from model.vlm.blocks import attend_blocks
from model.vlm.forward import Memory, looking
from model.vlm.strips import attend_strips

NAME = "shared_prefix"
AT_ONCE = 1 << 20
"""Scores made at a time, rows x heads x tokens x columns: 4 MB in fp32, which a cache holds."""

Layers = list[tuple[Tensor, Tensor]]
"""(keys, values) of each layer, float[kv heads, tokens, d]."""


@dataclass(frozen=True, slots=True)
class Seats:
    """Which study each row asks about, as places in a table of [studies, most rows of a study]."""

    studies: int
    row_at: Tensor
    """int64[S * W]: the row in each place, row 0 where there is none."""
    place_of: Tensor
    """int64[R]: the place of each row."""
    even: bool
    """Rows lie in the table's order already, and fill it."""

    @classmethod
    def of(cls, study_of: Sequence[int], studies: int, device: torch.device) -> "Seats":
        rows: list[list[int]] = [[] for _ in range(studies)]
        for row, study in enumerate(study_of):
            rows[study].append(row)
        width = max(map(len, rows))
        places = [0] * len(study_of)
        for study, some in enumerate(rows):
            for seat, row in enumerate(some):
                places[row] = study * width + seat
        table = [row for some in rows for row in some + [0] * (width - len(some))]
        even = table == list(range(len(study_of)))
        return cls(studies, torch.tensor(table, device=device), torch.tensor(places, device=device), even)


@dataclass(frozen=True, slots=True)
class Split:
    """Keys, or values, in their two parts."""

    shared: Tensor
    """float[S, kv heads, P, d]"""
    own: Tensor
    """float[R, kv heads, K, d]"""
    seats: Seats
    hidden: Tensor | None
    """bool[S, P], True on the padding of shorter prefixes; None where there is none."""


class Shared:
    """A `Memory` of rows behind prefixes they share; a column a token, prefixes first.

    prefixes: the layers of each study, at most as long as the longest; begun: what each row already has of its own.
    """

    def __init__(self, prefixes: Sequence[Layers], study_of: Sequence[int], begun: Sequence[Layers]) -> None:
        device = prefixes[0][0][0].device
        self.prefix_of = [_stacked([layers[n] for layers in prefixes]) for n in range(len(prefixes[0]))]
        self.columns = self.prefix_of[0][0].shape[2]
        lengths = [layers[0][0].shape[1] for layers in prefixes]
        past = torch.arange(self.columns, device=device) >= torch.tensor(lengths, device=device)[:, None]
        self.hidden = past if min(lengths) < self.columns else None
        self.study_of = list(study_of)
        self.seats = Seats.of(study_of, len(prefixes), device)
        self.own = Memory(len(self.prefix_of))
        if longest := max((layers[0][0].shape[1] for layers in begun if layers), default=0):
            empty = [
                (k.new_zeros(k.shape[1], 0, k.shape[3]), v.new_zeros(k.shape[1], 0, k.shape[3]))
                for k, v in self.prefix_of
            ]
            rows = [layers or empty for layers in begun]
            self.own.kept[:] = [_stacked([layers[n] for layers in rows]) for n in range(len(self.prefix_of))]
            self.own.used = longest
        own = [layers[0][0].shape[1] if layers else 0 for layers in begun]
        there = [
            torch.arange(n, device=device) < torch.tensor(filled, device=device)[:, None]
            for n, filled in ((self.columns, [lengths[study] for study in study_of]), (longest, own))
        ]
        self.visible = torch.cat(there, 1)
        """bool[R, P + K]: which columns are a row's own, or its study's; the others are padding."""

    @property
    def used(self) -> int:
        return self.columns + self.own.used

    @used.setter
    def used(self, columns: int) -> None:
        self.own.used = columns - self.columns

    def look(self, real: Tensor) -> Tensor:
        """Before a pass over further tokens: bool[R, new], which are no padding -> its mask, see `looking`."""
        mask = looking(self.visible, real)
        self.visible = torch.cat([self.visible, real], 1)
        return mask

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Split, Split]:
        keys, values = self.own.update(key.to(value.dtype), value, layer_idx)  # float32 under autocast otherwise
        shared = self.prefix_of[layer_idx]
        return Split(shared[0], keys, self.seats, self.hidden), Split(shared[1], values, self.seats, self.hidden)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows, repeats allowed; a study that nobody asks about any more is let go."""
        if list(rows) == list(range(len(self.study_of))):
            return
        self.visible = self.visible[list(rows)]
        studies = sorted({self.study_of[row] for row in rows})
        if len(studies) < len(self.prefix_of[0][0]):
            self.prefix_of = [(keys[studies], values[studies]) for keys, values in self.prefix_of]
            self.hidden = None if self.hidden is None else self.hidden[studies]
        self.study_of = [studies.index(self.study_of[row]) for row in rows]
        self.seats = Seats.of(self.study_of, len(studies), self.seats.row_at.device)
        self.own = self.own.rows(rows)

    def of_row(self, row: int) -> Layers:
        """What a row has of its own, without padding."""
        columns = self.visible[row, self.columns :]
        kept = [kv for kv in self.own.kept if kv]
        return [(k[row, :, : len(columns)][:, columns], v[row, :, : len(columns)][:, columns]) for k, v in kept]


def _stacked(layers: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Side by side, padded on the right; a single one isn't copied."""
    if len(layers) == 1:
        return layers[0][0][None], layers[0][1][None]
    longest = max(keys.shape[1] for keys, _ in layers)
    keys, values = (
        torch.stack([pad(kv[which], (0, 0, 0, longest - kv[which].shape[1])) for kv in layers]) for which in (0, 1)
    )
    return keys, values


def attend(
    module: Any, query: Tensor, key: Any, value: Any, attention_mask: Tensor | BlockMask | None, **settings: Any
) -> tuple[Tensor, None]:
    """transformers' attention function: float[R, heads, new, d] -> float[R, new, heads, d].

    attention_mask: bool[R, 1, new, P + K], True where a query may look; every query sees all of its study's prefix.
    Plain tensors may come with the blocks, or the owners, of a training row instead.
    """
    if isinstance(attention_mask, BlockMask):
        return attend_blocks(query, key, value, attention_mask, settings["scaling"]), None
    if attention_mask is not None and attention_mask.dtype == torch.int32:
        return attend_strips(module, query, key, value, attention_mask, settings["scaling"]), None
    if not isinstance(key, Split):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    assert attention_mask is not None
    query = query * settings["scaling"]
    rows, heads, new, _ = query.shape
    some = max(1, AT_ONCE // (rows * heads * attention_mask.shape[-1]))
    parts = [
        _seen(query[:, :, i : i + some], key, value, attention_mask[:, :, i : i + some]) for i in range(0, new, some)
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts, 1)), None


def _seen(query: Tensor, key: Split, value: Split, mask: Tensor) -> Tensor:
    """One softmax over both parts, without laying their scores side by side: each part has a peak and a sum of its own.

    Query heads of a kv head are further rows of the same product.
    """
    rows, heads, new, d = query.shape
    kv, columns = key.own.shape[1], key.shared.shape[2]
    n = heads // kv * new
    q = query.reshape(rows, kv, n, d)
    near = (q @ key.own.mT).float()
    near.view(rows, kv, -1, new, near.shape[-1]).masked_fill_(~mask[:, :, None, :, columns:], float("-inf"))
    far = (_seated(q, key.seats) @ key.shared.mT).float()
    if key.hidden is not None:
        far.masked_fill_(key.hidden[:, None, None], float("-inf"))
    near, near_peak, near_sum = _exponentials(near)
    far, far_peak, far_sum = _exponentials(far)
    far_out = _unseated(far.to(query.dtype) @ value.shared, value.seats, n)
    far_peak, far_sum = _unseated(far_peak, key.seats, n), _unseated(far_sum, key.seats, n)
    peak = torch.maximum(near_peak, far_peak)
    near_part, far_part = (near_peak - peak).exp(), (far_peak - peak).exp()
    seen = near_part * (near.to(query.dtype) @ value.own) + far_part * far_out
    seen = seen / (near_part * near_sum + far_part * far_sum)
    return seen.to(query.dtype).view(rows, heads, new, d).transpose(1, 2)


def _exponentials(scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(scores - peak), in place, with each row's peak and sum, [..., 1]."""
    peak = scores.amax(-1, keepdim=True)
    scores.sub_(peak).exp_()
    return scores, peak, scores.sum(-1, keepdim=True)


def _seated(x: Tensor, seats: Seats) -> Tensor:
    """[R, kv, n, d] -> [S, kv, W * n, d]: the rows of each study, one under another."""
    _, kv, n, d = x.shape
    table = x if seats.even else x[seats.row_at]
    return table.view(seats.studies, -1, kv, n, d).transpose(1, 2).reshape(seats.studies, kv, -1, d)


def _unseated(x: Tensor, seats: Seats, n: int) -> Tensor:
    """[S, kv, W * n, d] -> [R, kv, n, d]: the undoing of `_seated`."""
    studies, kv, _, d = x.shape
    table = x.view(studies, kv, -1, n, d).transpose(1, 2).reshape(-1, kv, n, d)
    return table if seats.even else table[seats.place_of]


def share(vlm: Any) -> None:
    """Let the language model attend through `attend`; with plain tensors it is transformers' SDPA as before."""
    vlm.model.language_model.config._attn_implementation = NAME


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
