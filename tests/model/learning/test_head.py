"""Scores in chunks against all scores at once: values and every trainable tensor's gradient."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as checkpointed

from model.learning import head
from model.learning.head import AT_ONCE, logprobs_of
from model.learning.losses import target_logprobs
from model.learning.packing import pack
from model.vlm.checkpoint import Checkpoint
from tests.model.learning.made import rows
from tests.model.vlm.conftest import checkpoint  # noqa: F401

FEW = 569 * 3
"""Scores of three places of the small model."""


def found(
    checkpoint: Checkpoint,  # noqa: F811
    change: Callable[[torch.Tensor], torch.Tensor],
    at_once: int,
) -> list[torch.Tensor]:
    """Log-probabilities and gradients of a weighted sum of them, by way of `change` over the states."""
    vlm = copy.deepcopy(checkpoint.vlm)
    random = torch.Generator().manual_seed(0)
    states = torch.randn(20, 64, generator=random).requires_grad_()
    ids = torch.randint(20, 560, (20,), generator=random)
    logprobs = logprobs_of(vlm, change(states), ids, checkpoint.vocabulary, at_once)
    (logprobs * torch.linspace(-1, 1, 20)).sum().backward()
    gradients = [states.grad, vlm.lm_head.weight.grad]
    return [logprobs.detach(), *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize(
    "change",
    [torch.clone, lambda states: states.T.contiguous().T, lambda states: states.expand(3, -1, -1)[1], lambda s: s * 2],
    ids=["plain", "transposed", "expanded", "scaled"],
)
def test_chunks_change_no_value_and_no_gradient(
    checkpoint: Checkpoint,  # noqa: F811
    change: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    some, all_at_once = found(checkpoint, change, FEW), found(checkpoint, change, AT_ONCE)
    assert len(some) == 3
    for chunked, eager in zip(some, all_at_once, strict=True):
        assert eager.abs().max() > 1e-3
        assert torch.allclose(chunked, eager, atol=1e-6)


def test_every_trained_tensor_learns_the_same_through_a_whole_row(
    checkpoint: Checkpoint,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = pack([rows(checkpoint, 1, 3)])

    def gradients() -> dict[str, torch.Tensor]:
        vlm = copy.deepcopy(checkpoint.vlm)
        target_logprobs(vlm, packed, checkpoint.vocabulary).sum().backward()
        return {name: p.grad for name, p in vlm.named_parameters() if p.grad is not None}

    eager = gradients()
    monkeypatch.setattr(head.logprobs_of, "__defaults__", (FEW,))
    calls = []
    monkeypatch.setattr(head, "checkpoint", lambda *a, **k: calls.append(1) or checkpointed(*a, **k))
    chunked = gradients()
    assert len(calls) == -(-len(packed.target) // (FEW // checkpoint.vlm.lm_head.out_features))
    assert set(chunked) == set(eager)
    assert all(torch.allclose(chunked[name], eager[name], atol=1e-5) for name in eager)


def test_no_more_scores_than_a_chunk_are_kept_for_the_backward_pass(checkpoint: Checkpoint) -> None:  # noqa: F811
    states, ids = torch.randn(40, 64, requires_grad=True), torch.full((40,), 30)

    def largest(at_once: int) -> int:
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            logprobs_of(checkpoint.vlm, states, ids, checkpoint.vocabulary, at_once)
        return max(kept)

    assert largest(AT_ONCE) >= 40 * checkpoint.vlm.lm_head.out_features
    assert largest(FEW) < 40 * 569 / 2


@pytest.mark.parametrize("at_once", [FEW, AT_ONCE])
def test_what_is_never_sampled_has_no_probability_either_way(checkpoint: Checkpoint, at_once: int) -> None:  # noqa: F811
    ids = torch.tensor([30, *checkpoint.vocabulary.never_sampled, 31])
    states = torch.randn(len(ids), 64, generator=torch.Generator().manual_seed(1))
    logprobs = logprobs_of(checkpoint.vlm, states, ids, checkpoint.vocabulary, at_once)
    assert torch.isneginf(logprobs[1:-1]).all()
    every = torch.arange(checkpoint.vlm.lm_head.out_features)
    whole = logprobs_of(checkpoint.vlm, states[:1].expand(len(every), -1), every, checkpoint.vocabulary, at_once)
    assert float(whole.detach().exp().sum()) == pytest.approx(1, abs=1e-5)  # nothing of it is left with what is banned


@pytest.mark.skipif(not hasattr(functional, "linear_cross_entropy"), reason="torch before 2.13")
def test_torchs_own_chunked_loss_agrees(checkpoint: Checkpoint) -> None:  # noqa: F811
    weight = checkpoint.vlm.lm_head.weight
    bias = torch.zeros(len(weight)).index_fill(0, torch.tensor(checkpoint.vocabulary.never_sampled), float("-inf"))
    states, ids = torch.randn(20, 64, generator=torch.Generator().manual_seed(2)), torch.arange(30, 50)
    theirs = functional.linear_cross_entropy(states, weight, ids, linear_bias=bias, reduction="none")
    assert torch.allclose(logprobs_of(checkpoint.vlm, states, ids, checkpoint.vocabulary, FEW), -theirs, atol=1e-5)
