"""Strip by strip against the dense mask, states and gradients, in lines of one row and of several."""

import copy

import pytest
import torch

from model.learning import packing
from model.learning.losses import target_logprobs
from model.learning.packing import Packed, pack, pack_end_to_end
from model.vlm import strips
from model.vlm.checkpoint import Checkpoint
from tests.model.learning.made import rows


def found(checkpoint: Checkpoint, packed: Packed) -> list[torch.Tensor]:
    vlm = copy.deepcopy(checkpoint.vlm)
    logprobs = target_logprobs(vlm, packed, checkpoint.vocabulary)
    (logprobs.sum() / len(logprobs)).backward()
    return [logprobs.detach(), *(p.grad for p in vlm.parameters() if p.grad is not None)]


@pytest.mark.parametrize("packing_way", [pack, pack_end_to_end], ids=["side by side", "end to end"])
def test_strips_change_no_value_and_no_gradient(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, packing_way
) -> None:
    packed = packing_way([rows(checkpoint, seed, branches) for seed, branches in ((1, 1), (2, 4), (3, 2))])
    dense = found(checkpoint, packed)
    monkeypatch.setattr(packing, "LONG", 1)
    apart = found(checkpoint, packed)
    assert len(dense) == len(apart) > 20
    for one, other in zip(dense, apart, strict=True):
        assert torch.allclose(one, other, atol=2e-6)


def test_a_long_line_computes_fewer_scores(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LONG", 1)
    seen = [0]

    def counting(module, query, key, *rest, **settings):
        seen[0] += query.shape[2] * key.shape[2]
        return kernel(module, query, key, *rest, **settings)

    kernel = strips.sdpa_attention_forward
    monkeypatch.setattr(strips, "sdpa_attention_forward", counting)
    packed = pack([rows(checkpoint, 1, 8)])
    found(checkpoint, packed)
    layers = len(checkpoint.vlm.model.language_model.layers)
    assert seen[0] < 0.5 * layers * packed.ids.shape[1] ** 2


def test_a_short_line_has_a_dense_mask(checkpoint: Checkpoint) -> None:
    packed = pack([rows(checkpoint, 1, 2)])
    assert isinstance(packed.kernel_mask, torch.Tensor)
    assert torch.equal(packed.kernel_mask, packed.mask)
