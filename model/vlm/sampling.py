"""How the next token is chosen, and when an answer has to end.

Each answer draws from a stream of its own, so that a sample is the same alone, in any group and in any order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.interface.contract import Contract

if TYPE_CHECKING:
    from model.vlm.rollout import Rollout

Choose = Callable[[Tensor, "Sequence[Rollout]"], list[tuple[int, float]]]
"""Scores float32[rows, vocab] and their answers to (token, log-probability) a row; what a row that waits gets is not
used."""


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Drawn among the likeliest tokens that together reach this probability; 1 is plain sampling."""
    max_tokens: int = 160
    """One budget of sampled tokens an answer; injected ones don't count."""
    max_boxes: int = 6
    """Rounds: boxes that are answered, with crops or with a flaw; a further one is a flaw."""
    max_crops: int | None = None
    """Pictures that an answer's boxes may bring in all; a box that would bring more is a flaw and brings none."""
    max_slices: int | None = None
    """Slices shown of one cuboid, where fewer than the contract's."""
    banned: tuple[int, ...] = ()
    """Ids that are never chosen, besides those of pictures."""
    ordered_boxes: bool = False
    """Never begin a far corner that can't end beyond the near one, see `ordered`; the paper decodes freely."""
    stop: tuple[str, ...] = ()
    """An answer ends behind any of these, as it does at the end of its turn."""
    seed: int = 0
    rows: int = 64
    """Answers decoded together."""

    def slices(self, contract: Contract) -> int:
        """Shown of one cuboid, at most."""
        return min(contract.crop_slices, self.max_slices or contract.crop_slices)


ASKED = Sampling(ordered_boxes=True)
"""How a trained model is asked by whoever shows or judges its answers: the likeliest tokens, boxes never inside out."""


def stream(seed: int, name: str, sample: int) -> np.random.Generator:
    """The random numbers of one answer. name: of the question; sample: which of the answers to it."""
    return np.random.default_rng([seed, sample, *name.encode()])


def scores_at(scores: Tensor, sampling: Sampling) -> Tensor:
    """Log-probabilities float32[rows, vocab] at the sampling temperature, before top-p; of greedy decoding at 1."""
    if sampling.banned:
        scores = scores.index_fill(-1, torch.tensor(sampling.banned, device=scores.device), float("-inf"))
    return (scores / (sampling.temperature or 1.0)).log_softmax(-1)


def draw(scores: Tensor, rollouts: "Sequence[Rollout]", sampling: Sampling) -> list[tuple[int, float]]:
    """A token a row and its natural-log probability, see `scores_at`. scores: float32[rows, vocab]."""
    logprobs = scores_at(scores, sampling)
    if sampling.temperature == 0:
        tokens = logprobs.argmax(-1, keepdim=True)
    else:
        points = torch.tensor(
            [rollout.random.random() for rollout in rollouts], dtype=torch.float64, device=scores.device
        )
        tokens = _at(logprobs.double().exp(), points, sampling.top_p)
    return list(zip(tokens[:, 0].tolist(), logprobs.gather(-1, tokens)[:, 0].tolist(), strict=True))


def _at(chances: Tensor, points: Tensor, top_p: float) -> Tensor:
    """Tokens int64[rows, 1] where each row's running sum passes its point in [0, 1)."""
    order = None
    if top_p < 1:
        chances, order = chances.sort(dim=-1, descending=True, stable=True)
        chances = chances * (chances.cumsum(-1) - chances < top_p)  # the first is always kept
    sums = chances.cumsum(-1)
    found = torch.searchsorted(sums, points[:, None] * sums[:, -1:], right=True)
    return found if order is None else order.gather(-1, found)


def dictated(said: Sequence[Sequence[int]]) -> Choose:
    """Don't draw: say what is given, and tell how likely the model (at temperature 1) finds each token.

    said: ids of each answer made together; behind its end the last is said again.
    """

    def choose(scores: Tensor, rollouts: "Sequence[Rollout]") -> list[tuple[int, float]]:
        tokens = [said[r.row][min(len(r.logprobs), len(said[r.row]) - 1)] for r in rollouts]
        chosen = torch.tensor(tokens, device=scores.device)[:, None]
        return list(zip(tokens, scores.log_softmax(-1).gather(-1, chosen)[:, 0].tolist(), strict=True))

    return choose
