"""The objectives against the papers' sums written out in Python, and what each is there for."""

import math

import pytest
import torch
from torch import Tensor

from model.learning.objectives import (
    Clip,
    Counts,
    Objective,
    clipped_weight,
    corrected_k3,
    kl_share,
    share,
    surrogate,
    token_clipped,
    truncated_weights,
)

OBJECTIVES: tuple[Objective, ...] = ("grpo", "dr_grpo", "dapo", "gspo", "cispo")
CLIP = Clip(0.2, 0.28)
LENGTHS = [3, 1, 7, 2]
EARNED = [0.75, -0.25, -0.5, 0.0]


def step(seed: int = 0, spread: float = 0.3) -> tuple[Tensor, Tensor]:
    """(new, old) log-probabilities of the answers of LENGTHS."""
    random = torch.Generator().manual_seed(seed)
    old = -torch.rand(sum(LENGTHS), generator=random) * 3
    return (old + spread * torch.randn(old.shape, generator=random)).requires_grad_(), old


def counts() -> Counts:
    moving = sum(n for n, a in zip(LENGTHS, EARNED, strict=True) if a)
    return Counts(len(LENGTHS), sum(LENGTHS), moving)


def loss(objective: Objective, new: Tensor, old: Tensor, which: range | None = None, **settings) -> Tensor:
    """Of all answers, or of some of a step that is counted whole."""
    which = which or range(len(LENGTHS))
    lengths = torch.tensor([LENGTHS[i] for i in which])
    begin = sum(LENGTHS[: which.start])
    part = slice(begin, begin + int(lengths.sum()))
    advantages = torch.tensor([EARNED[i] for i in which]).repeat_interleave(lengths)
    shares = torch.tensor([share(objective, LENGTHS[i], counts(), **settings) for i in which])
    gain = surrogate(objective, new[part], old[part], advantages, lengths.tolist(), CLIP)
    return -(gain * shares.repeat_interleave(lengths)).sum()


def gradient(objective: Objective, *parts: range, **settings) -> Tensor:
    new, old = step()
    for which in parts:
        loss(objective, new, old, which, **settings).backward()
    assert new.grad is not None
    return new.grad


def pessimistic(ratio: float, advantage: float) -> float:
    return min(ratio * advantage, max(1 - CLIP.low, min(1 + CLIP.high, ratio)) * advantage)


def by_hand(objective: Objective, new: list[float], old: list[float], budget: int | None = None) -> float:
    """The papers' double sums, to be made large."""
    found, at = 0.0, 0
    for length, advantage in zip(LENGTHS, EARNED, strict=True):
        gaps = [n - o for n, o in zip(new[at : at + length], old[at : at + length], strict=True)]
        match objective:
            case "grpo":
                found += sum(pessimistic(math.exp(gap), advantage) for gap in gaps) / length / len(LENGTHS)
            case "gspo":
                found += pessimistic(math.exp(sum(gaps) / length), advantage) / len(LENGTHS)
            case "dr_grpo":
                over = len(LENGTHS) * budget if budget else sum(LENGTHS) - LENGTHS[3]
                found += sum(pessimistic(math.exp(gap), advantage) for gap in gaps) / over
            case "dapo":
                found += sum(pessimistic(math.exp(gap), advantage) for gap in gaps) / sum(LENGTHS)
            case "cispo":
                held = [max(1 - CLIP.low, min(1 + CLIP.high, math.exp(gap))) for gap in gaps]
                spoken = zip(held, new[at : at + length], strict=True)
                found += sum(weight * advantage * logprob for weight, logprob in spoken) / sum(LENGTHS)
        at += length
    return found


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_objective_is_its_papers_sum(objective: Objective) -> None:
    new, old = step()
    assert -loss(objective, new, old).item() == pytest.approx(by_hand(objective, new.tolist(), old.tolist()), rel=1e-5)


def test_dr_grpo_by_its_papers_constant() -> None:
    new, old = step()
    expected = by_hand("dr_grpo", new.tolist(), old.tolist(), budget=120)
    assert -loss("dr_grpo", new, old, budget=120).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_dont_depend_on_how_a_step_is_divided(objective: Objective) -> None:
    whole = gradient(objective, range(4))
    for parts in ((range(1), range(1, 4)), (range(3), range(3, 4)), tuple(range(i, i + 1) for i in range(4))):
        assert torch.allclose(gradient(objective, *parts), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "alike"), [("dapo", True), ("dr_grpo", True), ("cispo", True), ("grpo", False), ("gspo", False)]
)
def test_a_token_of_a_long_answer_counts_what_one_of_a_short_answer_does(objective: Objective, alike: bool) -> None:
    """GRPO's own length bias, arXiv 2503.20783 section 3.1: 100 times less in an answer 100 times longer."""
    lengths, step = [10, 1000], Counts(2, 1010, 1010)
    new = torch.full((1010,), -0.5, requires_grad=True)
    shares = torch.tensor([share(objective, n, step) for n in lengths]).repeat_interleave(torch.tensor(lengths))
    gain = surrogate(objective, new, new.detach(), torch.ones(1010), lengths, CLIP)
    (gain * shares).sum().backward()
    assert new.grad is not None
    ratio = float(new.grad[0] / new.grad[-1])
    assert ratio == pytest.approx(1.0 if alike else 100.0, rel=1e-4)


def test_the_default_is_the_token_mean_it_has_always_been_bit_for_bit() -> None:
    mine = gradient("dr_grpo", range(4))
    new, old = step()
    advantages = torch.tensor(EARNED).repeat_interleave(torch.tensor(LENGTHS))
    ratio = (new - old).exp()
    (-torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.28) * advantages).sum() / 11).backward()
    assert new.grad is not None
    assert torch.equal(mine, new.grad)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_the_kl_counts_sums_to_one_whichever_answers_move(objective: Objective) -> None:
    """Rewards 0, six times .5, and 1: two answers of eight move."""
    lengths = [3, 5, 7, 2, 4, 6, 1, 9]
    step = Counts(8, sum(lengths), lengths[0] + lengths[-1])
    assert sum(n * kl_share(objective, n, step) for n in lengths) == pytest.approx(1)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_on_policy_every_objective_is_the_policy_gradient(objective: Objective) -> None:
    new, _ = step()
    loss(objective, new, new.detach()).backward()
    shares = torch.tensor([share(objective, n, counts()) * a for n, a in zip(LENGTHS, EARNED, strict=True)])
    assert new.grad is not None
    assert torch.allclose(new.grad, -shares.repeat_interleave(torch.tensor(LENGTHS)), atol=1e-7)


@pytest.mark.parametrize(
    ("advantage", "gap", "moves"), [(1.0, 0.5, False), (1.0, 0.1, True), (-1.0, -0.5, False), (-1.0, 0.5, True)]
)
def test_the_clip_stops_only_what_goes_too_far(advantage: float, gap: float, moves: bool) -> None:
    new = torch.tensor([gap], requires_grad=True)
    token_clipped(new, torch.zeros(1), torch.tensor([advantage]), CLIP).backward()
    assert new.grad is not None
    assert bool(new.grad.abs() > 0) == moves


def test_the_clip_is_wider_upwards() -> None:
    new = torch.log(torch.tensor([1.25, 0.75])).requires_grad_()
    token_clipped(new, torch.zeros(2), torch.tensor([1.0, -1.0]), CLIP).sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == [pytest.approx(1.25), 0.0]


def test_gspo_judges_an_answer_whole() -> None:
    """Tokens far out on either side: each alone would be clipped, their mean isn't."""
    new = torch.tensor([0.6, -0.6], requires_grad=True)
    surrogate("gspo", new, torch.zeros(2), torch.ones(2), [2], CLIP).sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == [pytest.approx(1.0), pytest.approx(1.0)]


def test_cispo_keeps_the_gradient_of_a_clipped_token() -> None:
    new = torch.tensor([0.9], requires_grad=True)
    clipped_weight(new, torch.zeros(1), torch.ones(1), CLIP).backward()
    assert new.grad is not None
    assert float(new.grad) == pytest.approx(1.28)


@pytest.mark.parametrize("off_policy", [False, True])
def test_the_kl_gradient_is_exactly_kls(off_policy: bool) -> None:
    """Over all five tokens of a toy. Plain k3 taken as a loss goes elsewhere (huggingface/trl#4967)."""
    random = torch.Generator().manual_seed(1)
    scores = torch.randn(5, generator=random, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(5, generator=random, dtype=torch.float64).log_softmax(0)
    new = scores.log_softmax(0)
    sampler = torch.randn(5, generator=random, dtype=torch.float64).log_softmax(0) if off_policy else new.detach()
    drawn = sampler.exp()
    (exact,) = torch.autograd.grad((new.exp() * (new - reference)).sum(), scores, retain_graph=True)
    ours = (drawn * corrected_k3(new, sampler, reference)).sum()
    (found,) = torch.autograd.grad(ours, scores, retain_graph=True)
    gap = reference - new
    (plain,) = torch.autograd.grad((drawn * (gap.exp() - gap - 1)).sum(), scores)
    assert torch.allclose(found, exact, atol=1e-12)
    assert ours.item() == pytest.approx((new.exp() * (new - reference)).sum().item())
    assert not torch.allclose(plain, exact, atol=0.05)


def test_what_another_engine_sampled_is_weighted_and_no_weight_runs_away() -> None:
    trainer = torch.tensor([-1.0, -1.0, -5.0], requires_grad=True)
    weights = truncated_weights(trainer, torch.tensor([-1.0, -4.0, -1.0]), 2.0)
    assert weights.tolist() == [1.0, 2.0, pytest.approx(math.exp(-4))]
    assert not weights.requires_grad


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_without_whole_answers_has_finite_shares(objective: Objective) -> None:
    assert math.isfinite(share(objective, 0, Counts(0, 0, 0)))
