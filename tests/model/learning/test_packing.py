"""One shared row against separate rows, and the loss's denominators. By the numbers of a real model."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch

from model.learning.losses import cross_entropy, target_logprobs
from model.learning.packing import Packed, Row, joined, pack, pack_end_to_end, pack_on
from model.vlm.checkpoint import Checkpoint
from model.vlm.recompute import checkpointing
from tests.model.learning.made import apart, rows
from tests.model.vlm.conftest import checkpoint  # noqa: F401


def gradients(
    checkpoint: Checkpoint,  # noqa: F811
    batches: Sequence[Sequence[Row]],
    packing: Callable[[Sequence[Row]], Packed] = pack,
    *,
    checkpointed: bool = False,
) -> dict[str, torch.Tensor]:
    """Of the token mean over all batches together."""
    vlm = copy.deepcopy(checkpoint.vlm)
    tokens = sum(sum(b.trained) for batch in batches for row in batch for b in row.branches)
    for batch in batches:
        packed = packing(batch)
        with checkpointing(vlm, checkpointed):
            logprobs = target_logprobs(vlm, packed, checkpoint.vocabulary)
        cross_entropy(logprobs, packed.weights, tokens).backward()
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


def test_with_checkpointing_on_a_shared_row_still_equals_separate_rows(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 4)
    one = gradients(checkpoint, [[row]], checkpointed=True)
    many = gradients(checkpoint, [[one] for one in apart(row)], checkpointed=True)
    plain = gradients(checkpoint, [[row]])
    assert set(one) == set(many) == set(plain)
    for name in one:
        assert torch.allclose(one[name], many[name], atol=1e-5), name
        assert torch.allclose(one[name], plain[name], atol=1e-6), name


def test_rows_end_to_end_equal_rows_side_by_side(checkpoint: Checkpoint) -> None:  # noqa: F811
    some = [rows(checkpoint, seed, branches) for seed, branches in ((1, 1), (2, 4), (3, 2))]
    line = pack_end_to_end(some)
    assert line.ids.shape == (1, -(-sum(map(len, some)) // 128) * 128)
    end_to_end, side_by_side = (
        target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary) for packed in (line, pack(some))
    )
    assert torch.allclose(end_to_end, side_by_side, atol=1e-5)
    one, many = gradients(checkpoint, [some], pack_end_to_end), gradients(checkpoint, [some])
    for name in one:
        assert torch.allclose(one[name], many[name], atol=1e-6), name


def test_who_sees_whom_token_by_token() -> None:
    """A line of two rows, worked out by hand from the drawing of the module."""
    segment = torch.tensor([[0, 0, 1, 2, 2, 3, 4, -1]], dtype=torch.int32)
    trunk = torch.tensor([[0, 0, 0, 0, 0, 3, 3, -1]], dtype=torch.int32)
    blank = torch.zeros(0)
    packed = Packed(blank, blank, blank, segment, trunk, [], blank, blank)
    seen = ["1.......", "11......", "111.....", "11.1....", "11.11...", ".....1..", ".....11.", ".......1"]
    assert packed.mask[0].tolist() == [[c == "1" for c in line] for line in seen]


def test_on_the_cpu_rows_lie_side_by_side_under_a_dense_mask(checkpoint: Checkpoint) -> None:  # noqa: F811
    some = [rows(checkpoint, seed, 2) for seed in (1, 2)]
    packed = pack_on(torch.device("cpu"), some)
    assert len(packed.ids) == 2
    assert isinstance(packed.kernel_mask, torch.Tensor)


def test_groups_about_one_study_share_a_row_and_its_gradient(checkpoint: Checkpoint) -> None:  # noqa: F811
    row = rows(checkpoint, 1, 5)
    row.weights = [0.5, -1.0, 2.0, 1.0, -0.25]
    alone = apart(row)
    again = [torch.clone(f) for f in alone[1].features]  # the same study, encoded another time
    alone[1].features = again
    stranger = rows(checkpoint, 2, 1)  # reads alike, shows another study
    some = [alone[0], stranger, *alone[1:]]
    (study, places), (other, others) = joined(some, 10_000)
    assert (places, others) == ([0, 2, 3, 4, 5], [1])
    assert (len(study), study.weights) == (len(row), row.weights)
    together = gradients(checkpoint, [[study], [other]])
    separate = gradients(checkpoint, [[one] for one in some])
    for name in together:
        assert torch.allclose(together[name], separate[name], atol=1e-5), name


def test_a_joined_row_never_grows_beyond_what_goes_through_at_once(checkpoint: Checkpoint) -> None:  # noqa: F811
    alone = apart(rows(checkpoint, 1, 5))
    tokens = len(alone[0]) + len(alone[1].branches[0])
    made = joined(alone, tokens)
    assert next(places for _, places in made) == [0, 1]
    assert all(len(row) <= tokens or len(places) == 1 for row, places in made)
    assert sorted(place for _, places in made for place in places) == list(range(5))
    assert [len(row.branches) for row in alone] == [1] * 5  # what was given is left as it was


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
