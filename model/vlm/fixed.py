"""Decoding in room of fixed shape: a step that a CUDA graph can hold.

    shape of a step    rows, and columns up to the next multiple of WINDOW
    given to it        ids int64[R, 1], places int64[R, 1, 3], mask bool[R, 1, P + window], column int64[1]
    written in place   the keys and values of that column

A step branches on no tensor and makes no shape from one, so that on a CUDA device it is captured once for each shape
and then replayed: one launch a token instead of some dozens a layer. Elsewhere it runs as it is. Columns that nobody
has written yet are masked; they cost their part of a product, which is why steps look only up to their window.

Rows that are let go, or a window that is full, make a new shape and a new capture.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from model.vlm.forward import Memory, scored
from model.vlm.sharing import Layers, Shared

WINDOW = 256
"""Columns."""
WARM_UP = 2
"""Runs before a capture, in which libraries take what they need."""


class Room(Memory):
    """Keys and values in tensors that stay where they are; grows only beyond what was foreseen."""

    def __init__(self, kept: Sequence[tuple[Tensor, Tensor]], used: int) -> None:
        """kept: float[rows, kv heads, columns, d] of each layer, of which `used` columns are written."""
        super().__init__(len(kept))
        self.kept[:], self.used = kept, used
        self.column = torch.zeros(1, dtype=torch.long, device=kept[0][0].device)
        self.at, self.window = self.column, 0

    def take(self, new: int) -> bool:
        """Make the next columns those of a pass over `new` tokens; True where all had to move for it."""
        end = self.used + new
        moved = end > self._columns
        if moved:
            more = _whole_windows(end) - self._columns
            self.kept[:] = [(pad(k, (0, 0, 0, more)), pad(v, (0, 0, 0, more))) for k, v in filter(None, self.kept)]
        self.window = min(self._columns, _whole_windows(end))
        one = self.column.fill_(self.used)
        self.at = one if new == 1 else torch.arange(self.used, end, device=one.device)
        return moved

    @property
    def _columns(self) -> int:
        return self.kept[0][0].shape[2] if self.kept[0] else 0

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """key, value: float[rows, kv heads, new, d] -> all columns of the window."""
        kept = self.kept[layer_idx]
        assert kept is not None
        for room, fresh in zip(kept, (key, value), strict=True):
            room.index_copy_(2, self.at, fresh)
        return kept[0][:, :, : self.window], kept[1][:, :, : self.window]

    def rows(self, index: Sequence[int]) -> "Room":
        return Room([(k[list(index)], v[list(index)]) for k, v in filter(None, self.kept)], self.used)


class Fixed(Shared):
    """`Shared`, its rows' own part in room that is taken at the start."""

    own: Room

    def __init__(
        self, prefixes: Sequence[Layers], study_of: Sequence[int], begun: Sequence[Layers], columns: int
    ) -> None:
        """columns: of each row's own, as many as are foreseen, see `room.columns`."""
        super().__init__(prefixes, study_of, begun)
        room = _whole_windows(max(columns, self.own.used))
        rows, kept = len(study_of), []
        for layer, (keys, values) in enumerate(self.prefix_of):
            new = [part.new_zeros(rows, part.shape[1], room, part.shape[3]) for part in (keys, values)]
            for part, before in zip(new, self.own.kept[layer] or (), strict=False):
                part[:, :, : self.own.used] = before[:, :, : self.own.used]
            kept.append((new[0], new[1]))
        self.own = Room(kept, self.own.used)
        self._steps: dict[int, Step] = {}

    def look(self, real: Tensor) -> Tensor:
        """As of `Shared`, over all columns of the window."""
        if self.own.take(real.shape[1]):
            self._steps = {}
        mask = super().look(real)
        return pad(mask, (0, self.columns + self.own.window - mask.shape[-1]))

    def keep(self, rows: Sequence[int]) -> None:
        before = self.own
        super().keep(rows)
        if self.own is not before:
            self._steps = {}

    def step(self, vlm: Any, banned: Tensor, ids: Tensor, places: Tensor, real: Tensor) -> Tensor:
        """A token a row: scores float32[R, vocab] after it. banned: int64[n], ids that are never sampled.

        ids: int64[R, 1]; places: int64[R, 1, 3]; real: bool[R, 1], False where a row waits.
        """
        mask = self.look(real)
        step = self._steps.get(self.own.window)
        if step is None:
            step = self._steps[self.own.window] = Step(vlm, banned, self, (ids, places, mask))
        scores = step(ids, places, mask)
        self.used += 1
        return scores


class Step:
    """`decode` at one shape; on a CUDA device a graph, replayed on buffers of its own."""

    def __init__(self, vlm: Any, banned: Tensor, memory: Fixed, given: tuple[Tensor, Tensor, Tensor]) -> None:
        """given: ids, places and mask of the first step."""
        self.fixed = (vlm, banned, memory)
        self.graph: torch.cuda.CUDAGraph | None = None
        if banned.is_cuda:
            self.buffers = tuple(tensor.clone() for tensor in given)
            self._capture()

    def __call__(self, ids: Tensor, places: Tensor, mask: Tensor) -> Tensor:
        if self.graph is None:
            return decode(*self.fixed, ids, places, mask)
        for buffer, fresh in zip(self.buffers, (ids, places, mask), strict=True):
            buffer.copy_(fresh)
        self.graph.replay()
        return self.scores.clone()  # the next replay writes over them

    def _capture(self) -> None:
        """Every run writes the same keys and values into the same column, so that running it again changes nothing."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                decode(*self.fixed, *self.buffers)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.scores = decode(*self.fixed, *self.buffers)


def decode(vlm: Any, banned: Tensor, memory: Fixed, ids: Tensor, places: Tensor, mask: Tensor) -> Tensor:
    """Scores float32[R, vocab] of one further token a row, whose keys and values go into `memory.own.column`.

    The layers are called one by one: transformers' own loop asks context variables, which no compiler follows.
    """
    language = vlm.model.language_model
    x_BLD = language.embed_tokens(ids)
    turn = language.rotary_emb(x_BLD, places.permute(2, 0, 1))
    for layer in language.layers:
        x_BLD = layer(
            x_BLD, attention_mask=mask[:, None], position_embeddings=turn, past_key_values=memory, use_cache=True
        )
    return scored(vlm, language.norm(x_BLD)[:, 0], banned)


def _whole_windows(columns: int) -> int:
    return max(1, -(-columns // WINDOW)) * WINDOW
