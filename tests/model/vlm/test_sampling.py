"""Drawing tokens: the right shares, the nucleus, nothing that has no chance."""

from types import SimpleNamespace

import pytest
import torch

from model.vlm.sampling import Sampling, draw, stream


def drawn(scores: torch.Tensor, n: int, sampling: Sampling) -> list[tuple[int, float]]:
    rollouts = [SimpleNamespace(random=stream(sampling.seed, "q", i)) for i in range(n)]
    return draw(scores.expand(n, -1), rollouts, sampling)  # pyright: ignore[reportArgumentType]


def test_shares_are_those_of_the_softmax_at_the_temperature() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, float("-inf")]])
    said = drawn(scores, 4000, Sampling(temperature=2.0, seed=1))
    expected = (scores[0] / 2).softmax(-1)
    shares = torch.bincount(torch.tensor([token for token, _ in said]), minlength=4) / 4000
    assert torch.allclose(shares, expected, atol=0.03)
    assert all(logprob == pytest.approx(float(expected[token].log()), abs=1e-6) for token, logprob in said)


def test_top_p_keeps_the_likeliest_that_reach_it_and_never_none() -> None:
    scores = torch.tensor([[0.15, 0.5, 0.05, 0.3]]).log()
    for top_p, kept in ((0.01, {1}), (0.49, {1}), (0.51, {1, 3}), (0.81, {0, 1, 3}), (1.0, {0, 1, 2, 3})):
        assert {token for token, _ in drawn(scores, 400, Sampling(temperature=1.0, top_p=top_p))} == kept


def test_greedy_takes_the_best_that_is_not_banned() -> None:
    scores = torch.tensor([[0.0, 3.0, 2.0]])
    assert drawn(scores, 1, Sampling())[0][0] == 1
    assert drawn(scores, 1, Sampling(banned=(1,)))[0][0] == 2
    assert 1 not in {token for token, _ in drawn(scores, 300, Sampling(temperature=9.0, banned=(1,)))}


def test_a_stream_is_told_apart_by_seed_question_and_sample() -> None:
    seen = {stream(*key).random() for key in ((1, "a", 0), (2, "a", 0), (1, "b", 0), (1, "a", 1))}
    assert len(seen) == 4
    assert stream(1, "a", 0).random() == stream(1, "a", 0).random()
