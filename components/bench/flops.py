"""Arithmetic of a training step, for MFU: what the rows need, not what is done twice under checkpointing.

    2 N             a token through N weights, forward; 6 N forward and back      (arXiv 2001.08361, section 2.1)
    4 w             a pair of tokens in a layer of width w, forward; 12 w both    (arXiv 2204.02311, appendix B)
    2 H V           a place where the head runs, forward; 6 H V both

The tower is frozen: forward only. Pairs are those that may look at one another: half of a causal square, and none
between branches. Embedding look-ups cost nothing. MFU is this over seconds and the device's dense peak
(`components.training.meter`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.learning.packing import Row


@dataclass(frozen=True, slots=True)
class PerToken:
    """FLOPs of one token, forward and back where it is trained."""

    language: float
    """6 N of the language model's layers."""
    pair: float
    """12 w over all layers, of each token it may look at."""
    head: float
    """6 H V, where it runs."""
    patch: float
    """2 N of the tower, forward; four patches are a token."""
    patch_pair: float
    """4 w over all layers of the tower."""

    @classmethod
    def of(cls, vlm: Any) -> "PerToken":
        language, visual = vlm.model.language_model, vlm.model.visual
        text, vision = language.config, visual.config
        return cls(
            language=6.0 * sum(p.numel() for p in language.layers.parameters()),
            pair=12.0 * text.num_hidden_layers * text.hidden_size,
            head=6.0 * text.hidden_size * text.vocab_size,
            patch=2.0 * sum(p.numel() for p in visual.parameters()),
            patch_pair=4.0 * vision.depth * vision.hidden_size,
        )


def of_rows(one: PerToken, rows: Sequence[Row], *, head_everywhere: bool = False) -> float:
    """FLOPs of these rows, forward and back; of their pictures nothing."""
    tokens = sum(map(len, rows))
    trained = sum(sum(branch.trained) for row in rows for branch in row.branches)
    pairs = sum(row.pairs for row in rows)
    return one.language * tokens + one.pair * pairs + one.head * (tokens if head_everywhere else trained)


def of_pictures(one: PerToken, patches: int, together: int) -> float:
    """FLOPs of the tower. together: patches that look at one another, a picture's or its windows'."""
    return patches * (one.patch + one.patch_pair * together)
