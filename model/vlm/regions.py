"""Region-token injection: what a box brings into the assistant's turn.

One path for rollouts, inference and training data, in 2D and in 3D: what the cropper cut is shown as
tokens, pixels, grid and mask together, or not at all.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.imaging.crop import crop
from model.imaging.prepare import Prepared
from model.interface.boxes import Box, Point, iou
from model.interface.contract import Contract
from model.vlm.sampling import Crops
from model.vlm.tokens import Strip, Vocabulary
from model.vlm.tower import encode, grid_of

PLACES = 64
"""Tries at a place that doesn't meet the box."""


def look(prepared: Prepared, box: Box, contract: Contract, crops: Crops = "asked") -> list[np.ndarray]:
    """The pictures a box brings. box: model space.

    A random place depends on the study and the box alone, so that it is the same in every group and every run.
    """
    if crops == "none":
        return []
    if crops == "random":
        study = [int(prepared.volume.digest[i : i + 8], 16) for i in range(0, 32, 8)]
        random = np.random.default_rng([*study, *(int(n) for n in box.numbers)])
        box = elsewhere(box, prepared.frame.shape, random)
    return crop(prepared, box, contract)


def elsewhere(box: Box, shape: Point, random: np.random.Generator) -> Box:
    """A box of the same size, moved by whole numbers inside `shape`.

    Of `PLACES` tries the first that doesn't meet the box, else the one that meets it least.
    """
    best, least = box, 2.0
    for _ in range(PLACES):
        moved = [int(random.integers(0, max(1, int(n - side) + 1))) for n, side in zip(shape, box.size, strict=True)]
        found = Box.of((*moved, *(low + side for low, side in zip(moved, box.size, strict=True))))
        overlap = iou(box, found)
        if overlap < least:
            best, least = found, overlap
        if not overlap:
            break
    return best


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
