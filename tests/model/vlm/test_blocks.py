"""The mask of blocks against the dense one: every pair of tokens, and the model's own states through it.

FlexAttention has a forward pass on the CPU and no backward: gradients are the dense mask's to prove.
"""

import copy

import pytest
import torch

from model.learning.packing import Packed, pack, pack_end_to_end
from model.vlm.blocks import tree_blocks
from model.vlm.checkpoint import Checkpoint
from model.vlm.forward import embed, hidden
from model.vlm.sharing import share
from tests.model.learning.made import rows


def two_ways(checkpoint: Checkpoint) -> list[Packed]:
    some = [rows(checkpoint, seed, branches) for seed, branches in ((1, 1), (2, 4), (3, 2))]
    return [pack_end_to_end(some), pack(some, 128)]


def test_blocks_let_the_same_pairs_look_as_the_dense_mask(checkpoint: Checkpoint) -> None:
    for packed in two_ways(checkpoint):
        lines, length = packed.ids.shape
        blocks = tree_blocks(packed.segment, packed.trunk)
        line, query, key = (torch.arange(n) for n in (lines, length, length))
        pairs = blocks.mask_mod(line[:, None, None], torch.tensor(0), query[:, None], key)
        assert torch.equal(pairs, packed.mask)


def test_blocks_that_nobody_may_look_at_are_left_out(checkpoint: Checkpoint) -> None:
    many = pack_end_to_end([rows(checkpoint, seed, 4) for seed in range(4)])
    causal = torch.zeros_like(many.segment)
    skipped, plain = (tree_blocks(s, t).sparsity() for s, t in ((many.segment, many.trunk), (causal, causal)))
    assert skipped > plain + 15  # percent


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_model_says_the_same_through_blocks(checkpoint: Checkpoint) -> None:
    vlm = copy.deepcopy(checkpoint.vlm)
    share(vlm)
    for packed in two_ways(checkpoint):
        with torch.no_grad():
            embedded = embed(vlm, packed.ids, packed.is_picture, packed.features)
            blocks = tree_blocks(packed.segment, packed.trunk)
            dense, sparse = (hidden(vlm, embedded, packed.places, mask) for mask in (packed.mask, blocks))
        real = packed.segment >= 0
        assert torch.allclose(dense[real], sparse[real], atol=1e-5)
