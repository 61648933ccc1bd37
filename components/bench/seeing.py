"""What it costs to see: a tower with windows, as a real Qwen2.5-VL's, over the slices of a volume.

Random weights at the widths of `paper`; 7 of 8 blocks attend in windows of 112 px, the last over whole pictures.
"""

import numpy as np
import torch
from torch import Tensor

from components.bench import paper
from components.bench.measure import Comparison
from model.vlm.checkpoint import Checkpoint
from model.vlm.tower import encode, patchify

WINDOW = 112
"""px, Qwen2.5-VL's own."""


def tower_windows(checkpoint: Checkpoint) -> Comparison:
    """Visual tokens of one volume: windows of a length in one call of attention."""
    large = paper.paper_model(checkpoint)
    contract, visual = large.contract, large.vlm.model.visual
    visual.fullatt_block_indexes, visual.window_size = [len(visual.blocks) - 1], WINDOW
    shape = (contract.slices, contract.volume_side, contract.volume_side)
    slices = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    side = contract.volume_side // contract.patch

    @torch.no_grad()
    def ours() -> Tensor:
        return torch.cat(encode(visual, list(slices), contract))

    @torch.no_grad()
    def peer() -> Tensor:
        grid = torch.tensor([[1, side, side]] * len(slices))
        return visual(patchify(slices, contract).flatten(0, 1), grid_thw=grid).pooler_output

    parameters = sum(p.numel() for p in visual.parameters())
    return Comparison(
        ours,
        peer,
        "transformers' own tower: a call of attention for each window of each picture",
        n=len(slices),
        model=f"random tower, {parameters / 1e6:.0f} M parameters, seed 0",
    )
