"""One pass of the language model over strips: embeddings, explicit positions, explicit mask.

Positions and mask are always given, never guessed by transformers: its defaults silently place
tokens after an injected picture where a text token would stand.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import pad

from model.vlm.tokens import Vocabulary


class Remembers(Protocol):
    """What transformers' attention asks of a Cache, and how many columns it holds."""

    @property
    def used(self) -> int: ...

    @used.setter
    def used(self, columns: int) -> None: ...

    def update(self, key: Tensor, value: Tensor, layer_idx: int, /) -> tuple[Any, Any]: ...


class Memory:
    """Keys and values of every layer; a column a token, rows advance together.

    A stand-in for transformers' Cache (`update` is all its attention asks for) that grows in blocks,
    instead of copying everything for each new token.
    """

    BLOCK = 64
    """Columns of room gained at a time."""

    def __init__(self, layers: int) -> None:
        self.used = 0
        self.kept: list[tuple[Tensor, Tensor] | None] = [None] * layers
        """(keys, values) of a layer, float[rows, kv heads, columns of room, d]."""

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """key, value: float[rows, kv heads, new, d] -> everything so far."""
        end = self.used + key.shape[2]
        kept = self.kept[layer_idx]
        if kept is None or kept[0].shape[2] < end:
            kept = self.kept[layer_idx] = (self._roomier(kept, 0, key, end), self._roomier(kept, 1, value, end))
        for room, fresh in zip(kept, (key, value), strict=True):
            room[:, :, self.used : end] = fresh
        return kept[0][:, :, :end], kept[1][:, :, :end]

    def _roomier(self, kept: tuple[Tensor, Tensor] | None, which: int, fresh: Tensor, end: int) -> Tensor:
        room = fresh.new_zeros((*fresh.shape[:2], -(-end // self.BLOCK) * self.BLOCK, fresh.shape[3]))
        if kept is not None:
            room[:, :, : self.used] = kept[which][:, :, : self.used]
        return room

    def rows(self, index: Sequence[int]) -> "Memory":
        """Chosen rows; repeats allowed."""
        chosen = Memory(len(self.kept))
        chosen.used = self.used
        chosen.kept = [kept and (kept[0][list(index)], kept[1][list(index)]) for kept in self.kept]
        return chosen


def embed(vlm: Any, ids: Tensor, is_picture: Tensor, features: Sequence[Tensor]) -> Tensor:
    """int64[B, L], bool[B, L] and the pictures' tokens in reading order -> float[B, L, hidden].

    Where the tower feeds several layers (Qwen3-VL's deepstack) its tokens are as many times hidden wide, and so is
    what comes out: first what the first layer reads, then what is added behind the first, the second, …; 0 for text.

    Raises ValueError where the pictures don't fill their places exactly.
    """
    embedded = vlm.model.language_model.embed_tokens(ids)
    wanted, given = int(is_picture.sum()), sum(len(f) for f in features)
    if wanted != given:
        raise ValueError(f"{given} visual tokens for {wanted} places")
    if not given:
        return embedded
    shown = torch.cat(list(features)).to(embedded.dtype)
    embedded = pad(embedded, (0, shown.shape[1] - embedded.shape[2]))
    return embedded.masked_scatter(is_picture[..., None], shown)


def hidden(
    vlm: Any, embedded: Tensor, places: Tensor, mask: Tensor | BlockMask, memory: Remembers | None = None
) -> Tensor:
    """Last hidden states float[B, L, hidden].

    embedded: of `embed`; places: int64[B, L, 3]; mask: bool[B, L, K], True where a query may look; K counts the memory.
    A mask of blocks, or of owners, is for a model that attends through `sharing`.
    """
    language = vlm.model.language_model
    first, *deeper = embedded.split(language.config.hidden_size, -1)
    everywhere = torch.ones(embedded.shape[:2], dtype=torch.bool, device=embedded.device)
    deepstack = {"visual_pos_masks": everywhere, "deepstack_visual_embeds": [deep.flatten(0, 1) for deep in deeper]}
    out = language(
        inputs_embeds=first,
        position_ids=places.permute(2, 0, 1),
        attention_mask=mask if isinstance(mask, BlockMask) else mask[:, None],
        past_key_values=memory,
        use_cache=memory is not None,
        **(deepstack if deeper else {}),
    )
    if memory is not None:
        memory.used += embedded.shape[1]
    return out.last_hidden_state


def looking(visible: Tensor, real: Tensor) -> Tensor:
    """Who may look where: bool[R, K] of what is there, bool[R, new] of what comes -> bool[R, new, K + new].

    Causal; padding (False in `real`) is seen by nobody. A token that would see nothing sees itself: a row of all False
    would be NaN in softmax.
    """
    new = real.shape[1]
    itself = torch.eye(new, dtype=torch.bool, device=real.device)
    causal = torch.ones_like(itself).tril() & real[:, None]
    causal = causal | (itself & ~(visible.any(1)[:, None, None] | causal.any(-1, keepdim=True)))
    return torch.cat([visible[:, None].expand(-1, new, -1), causal], -1)


def logits(vlm: Any, hidden_states: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Scores float32[..., vocab]; what may never be sampled is -inf, in rollouts and in training alike."""
    return scored(vlm, hidden_states, torch.tensor(vocabulary.never_sampled, device=hidden_states.device))


def scored(vlm: Any, hidden_states: Tensor, banned: Tensor) -> Tensor:
    """The same. banned: int64[n], ids."""
    return vlm.lm_head(hidden_states).float().index_fill(-1, banned, float("-inf"))
