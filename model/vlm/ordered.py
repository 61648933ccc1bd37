"""Boxes that can't be inside out: while a far corner is written, only what can still end beyond the near one.

    [31,26,14,4|      of 64 columns: another digit must follow, and make it 40 to 49
    [31,26,14,|       of 64 columns: 32 to 64, so that 7, 8 and 9 can't begin it

An option (`Sampling.ordered_boxes`), because the paper decodes freely. Exact for any tokenizer whose numbers are ASCII
digits, one token each (Qwen's) or several (the tiny model's): a token stays if some number of the range begins with
what then stands there; a comma or bracket, if what stands there is one. A near corner that leaves no room, or is no
whole number, is not helped: it ends as a flaw, as always. What is drawn is then of the narrowed distribution, and so is
its log-probability.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from model.interface.grammar import BOX_OPEN
from model.vlm.tokens import Vocabulary

if TYPE_CHECKING:
    from model.vlm.rollout import Rollout


class Ordered:
    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        known = vocabulary.tokenizer.get_vocab()
        self.digits = {token: i for token, i in known.items() if token.isascii() and token.isdigit()}
        self.ends = {end: known[end] for end in ",]"}

    def __call__(self, scores: Tensor, rollouts: "Sequence[Rollout]") -> Tensor:
        """Scores float32[rows, vocab], -inf where a token would turn its row's box inside out."""
        for row, rollout in enumerate(rollouts):
            if self.vocabulary.box_open in rollout.open_step and not rollout.done:
                text = self.vocabulary.text(rollout.open_step).rpartition(BOX_OPEN)[2]
                shape = rollout.prepared.frame.shape
                if allowed := self.allowed(text, shape if rollout.prepared.dimension == 3 else shape[:2]):
                    keep = torch.tensor(allowed, device=scores.device)
                    narrowed = torch.full_like(scores[row], float("-inf")).index_copy(0, keep, scores[row, keep])
                    scores = scores.index_copy(0, torch.tensor([row], device=scores.device), narrowed[None])
        return scores

    def allowed(self, text: str, shape: Sequence[int]) -> list[int]:
        """Ids that may follow; [] for any. text: of an open box, behind its tag; shape: of model space, by axis."""
        *before, part = text.removeprefix("[").split(",")
        axis = len(before) - len(shape)
        if not text.startswith("[") or not 0 <= axis < len(shape) or not before[axis].isdecimal():
            return []
        beyond = [str(n) for n in range(int(before[axis]) + 1, int(shape[axis]) + 1)]
        begun = {number[:n] for number in beyond for n in range(len(number) + 1)}
        if part not in begun:
            return []
        end = [self.ends["," if axis < len(shape) - 1 else "]"]] if part in beyond else []
        return [i for token, i in self.digits.items() if part + token in begun] + end
