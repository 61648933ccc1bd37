"""One shared row against separate rows, and the loss's denominators. By the numbers of a real model."""

import copy

import numpy as np
import pytest
import torch

from model.interface.boxes import Box
from model.interface.question import Remark
from model.learning.losses import Clip, cross_entropy, grpo, target_logprobs
from model.learning.packing import Row, pack
from model.vlm.checkpoint import Checkpoint
from model.vlm.regions import features_of
from model.vlm.tokens import ask, open_study, reason
from tests.model.vlm.conftest import SMALL, checkpoint  # noqa: F401


def rows(checkpoint: Checkpoint, seed: int, branches: int, pictures: int = 2) -> Row:  # noqa: F811
    random = np.random.default_rng(seed)
    vocabulary = checkpoint.vocabulary
    shared = open_study(vocabulary, [(2, 2)] * pictures, 3, SMALL)
    made, crops = [], 0
    for k in range(branches):
        branch = ask(shared, vocabulary, "where? " * (k + 1))
        remarks = [Remark("The left thalamus is at", Box.of((1, 2, 0, 9 + k, 8, 2)))] * (k % 3)
        reason(branch, vocabulary, remarks, [[(2, 2)]] * len(remarks), ("A", "left"), flat=False)
        crops += len(remarks)
        made.append(branch)
    shown = list(random.integers(0, 256, (pictures + crops, 32, 32), dtype=np.uint8))
    return Row(shared, made, features_of(checkpoint.vlm, shown, SMALL))


def apart(row: Row) -> list[Row]:
    """Each branch as a row of its own."""
    alone, left = [], iter(row.features)
    own = [next(left) for _ in range(2)]
    for branch in row.branches:
        count = sum(branch.is_picture) // 4
        alone.append(Row(row.shared, [branch], [*own, *(next(left) for _ in range(count))]))
    return alone


def gradients(checkpoint: Checkpoint, batches: list[list[Row]]) -> dict[str, torch.Tensor]:  # noqa: F811
    """Of the token mean over all batches together."""
    vlm = copy.deepcopy(checkpoint.vlm)
    tokens = sum(sum(b.trained) for batch in batches for row in batch for b in row.branches)
    for batch in batches:
        packed = pack(batch)
        cross_entropy(target_logprobs(vlm, packed, checkpoint.vocabulary), packed.weights, tokens).backward()
    return {name: p.grad for name, p in vlm.named_parameters() if p.grad is not None}


def test_a_shared_row_equals_separate_rows_in_loss_and_gradients(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 4)
    together = target_logprobs(checkpoint.vlm, pack([row]), checkpoint.vocabulary)
    separate = torch.cat([target_logprobs(checkpoint.vlm, pack([one]), checkpoint.vocabulary) for one in apart(row)])
    assert torch.allclose(together, separate, atol=2e-5)
    one, many = gradients(checkpoint, [[row]]), gradients(checkpoint, [[one] for one in apart(row)])
    assert set(one) == set(many)
    assert len(one) > 20
    for name in one:
        assert torch.allclose(one[name], many[name], atol=2e-5), name


def test_one_batch_equals_uneven_micro_batches(checkpoint: Checkpoint) -> None:  # noqa: F811
    some = [rows(checkpoint, seed, branches) for seed, branches in ((1, 1), (2, 4), (3, 2))]
    whole, split = gradients(checkpoint, [some]), gradients(checkpoint, [some[:1], some[1:]])
    for name in whole:
        assert torch.allclose(whole[name], split[name], atol=1e-5), name


def test_what_an_injected_token_is_called_changes_no_gradient(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 3)
    before = gradients(checkpoint, [[row]])
    for branch in row.branches:
        branch.ids = [7 if picture else i for i, picture in zip(branch.ids, branch.is_picture, strict=True)]
    after = gradients(checkpoint, [[row]])
    assert all(torch.equal(before[name], after[name]) for name in before if "embed_tokens" not in name)
    assert torch.allclose(
        before["model.language_model.embed_tokens.weight"], after["model.language_model.embed_tokens.weight"], atol=1e-6
    )


def test_padding_changes_nothing(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 2)
    tight, loose = (
        target_logprobs(checkpoint.vlm, pack([row], multiple), checkpoint.vocabulary) for multiple in (1, 512)
    )
    assert torch.allclose(tight, loose, atol=1e-5)
    assert torch.isfinite(loose).all()


def test_what_may_not_be_sampled_has_no_probability_in_training(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 1)
    branch = row.branches[0]
    place = next(i for i, t in enumerate(branch.trained) if t)
    branch.ids[place] = checkpoint.vocabulary.image
    assert target_logprobs(checkpoint.vlm, pack([row]), checkpoint.vocabulary)[0] == float("-inf")


def test_pictures_that_do_not_fill_their_places_are_refused(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 1)
    row.features.pop()
    with pytest.raises(ValueError, match="4 visual tokens for 8 places"):
        target_logprobs(checkpoint.vlm, pack([row]), checkpoint.vocabulary)


def test_weights_follow_their_tokens(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 3)
    row.weights = [0.5, -1.0, 2.0]
    packed = pack([rows(checkpoint, 2, 1), row])
    counts = [sum(b.trained) for b in row.branches]
    tail = packed.weights[-sum(counts) :]
    assert tail.tolist() == [w for w, n in zip(row.weights, counts, strict=True) for _ in range(n)]


def test_on_policy_grpo_is_the_policy_gradient_and_length_does_not_weigh(checkpoint: Checkpoint) -> None:  # noqa: F811
    logprobs = torch.tensor([-0.1, -2.0, -0.5, -0.3], requires_grad=True)
    advantages = torch.tensor([0.5, 0.5, -1.0, 0.0])
    grpo(logprobs, logprobs.detach(), advantages, 4, Clip()).backward()
    assert logprobs.grad is not None
    assert torch.allclose(logprobs.grad, -advantages / 4)


@pytest.mark.parametrize(
    ("advantage", "new", "moves"), [(1.0, 0.5, False), (1.0, 0.1, True), (-1.0, -0.5, False), (-1.0, 0.5, True)]
)
def test_the_clip_stops_only_what_goes_too_far(advantage: float, new: float, moves: bool) -> None:
    logprob = torch.tensor([new], requires_grad=True)
    grpo(logprob, torch.zeros(1), torch.tensor([advantage]), 1, Clip()).backward()
    assert logprob.grad is not None
    assert bool(logprob.grad.abs() > 0) == moves
