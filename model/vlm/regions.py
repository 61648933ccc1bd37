"""Region-token injection: what a box brings into the assistant's turn.

One path for rollouts, inference and training data, in 2D and in 3D: what the cropper cut is shown as
tokens, pixels, grid and mask together, or not at all.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.interface.contract import Contract
from model.vlm.tokens import Strip, Vocabulary
from model.vlm.tower import encode, grid_of


def inject(strip: Strip, pictures: Sequence[np.ndarray], contract: Contract, vocabulary: Vocabulary) -> int:
    """Append the pictures' tokens to a strip; returns how many tokens were added."""
    before = len(strip)
    for picture in pictures:
        strip.show(grid_of(picture.shape, contract), vocabulary)
    return len(strip) - before


@torch.no_grad()
def features_of(vlm: Any, pictures: Sequence[np.ndarray], contract: Contract) -> list[Tensor]:
    """Visual tokens of each picture, through the frozen tower."""
    return encode(vlm.model.visual, pictures, contract)
