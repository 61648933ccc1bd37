"""The reference beside a policy that moves: adapters off, or a copy."""

import copy
from typing import Any

import pytest
import torch

from model.learning.losses import target_logprobs
from model.learning.packing import pack
from model.learning.reference import Reference
from model.vlm.backbone import add_lora
from model.vlm.checkpoint import Checkpoint
from tests.model.learning.made import rows
from tests.model.vlm.conftest import checkpoint  # noqa: F401


def adapted(vlm: Any) -> Any:
    """With LoRA that says something: its second matrix begins as zeros."""
    vlm = add_lora(copy.deepcopy(vlm), 4).get_base_model()  # pyright: ignore[reportCallIssue]
    moved(vlm)
    return vlm


def moved(vlm: Any) -> None:
    with torch.no_grad():
        for p in vlm.parameters():
            if p.requires_grad:
                p.add_(0.02)


@pytest.mark.parametrize("lora", [False, True])
def test_the_reference_stays_where_the_policy_began(checkpoint: Checkpoint, lora: bool) -> None:  # noqa: F811
    packed = pack([rows(checkpoint, 1, 3)])
    began = target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary).detach()
    vlm = adapted(checkpoint.vlm) if lora else copy.deepcopy(checkpoint.vlm)
    vlm.model.visual.requires_grad_(False)
    reference = Reference(vlm)
    moved(vlm)
    found = reference.logprobs(packed, checkpoint.vocabulary)
    assert torch.allclose(found, began, atol=1e-5)
    assert not found.requires_grad
    now = target_logprobs(vlm, packed, checkpoint.vocabulary)
    assert not torch.allclose(now, began, atol=1e-2)


def test_asking_the_reference_leaves_the_adapters_on_and_trainable(checkpoint: Checkpoint) -> None:  # noqa: F811
    vlm = adapted(checkpoint.vlm)
    packed, flags = pack([rows(checkpoint, 1, 2)]), [p.requires_grad for p in vlm.parameters()]
    before = target_logprobs(vlm, packed, checkpoint.vocabulary)
    Reference(vlm).logprobs(packed, checkpoint.vocabulary)
    after = target_logprobs(vlm, packed, checkpoint.vocabulary)
    assert torch.equal(before, after)
    assert [p.requires_grad for p in vlm.parameters()] == flags
    after.sum().backward()
    assert all(p.grad is not None for p in vlm.parameters() if p.requires_grad)


def test_a_copy_shares_the_tower(checkpoint: Checkpoint) -> None:  # noqa: F811
    reference = Reference(checkpoint.vlm)
    assert reference._vlm is not checkpoint.vlm
    assert reference._vlm.model.visual is checkpoint.vlm.model.visual
