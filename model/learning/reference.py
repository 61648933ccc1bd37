"""The policy as it was when training began, for the KL: adapters switched off, or a copy that stays.

A copy holds the language side a second time; the frozen tower is shared, because its tokens were made already. Make it
before the state of an interrupted training is read back.
"""

import copy
from typing import Any

import torch
from torch import Tensor

from model.learning.losses import target_logprobs
from model.learning.packing import Packed
from model.vlm.tokens import Vocabulary


class Reference:
    def __init__(self, vlm: Any) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        self._adapted = [module for module in vlm.modules() if isinstance(module, BaseTunerLayer)]
        tower = vlm.model.visual
        self._vlm = vlm if self._adapted else copy.deepcopy(vlm, {id(tower): tower})

    @torch.no_grad()
    def logprobs(self, packed: Packed, vocabulary: Vocabulary) -> Tensor:
        """float32[T], see `target_logprobs`. Ask before the policy's own pass: switching touches `requires_grad`."""
        for layer in self._adapted:
            layer.enable_adapters(False)
        try:
            return target_logprobs(self._vlm, packed, vocabulary)
        finally:
            for layer in self._adapted:
                layer.enable_adapters(True)
