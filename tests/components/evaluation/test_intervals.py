from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from components.evaluation.intervals import FEWEST, Interval, resample

HEADS = "abcdefghijkl"
ROWS = st.lists(st.tuples(st.sampled_from(HEADS), st.integers(0, 1)), max_size=40).map(
    lambda rows: rows + [(head, 1) for head in HEADS]
)


def interval(groups: Sequence[str], values: Sequence[float], draws: int = 500) -> Interval:
    return resample(groups, draws, seed=1).ratio(np.array(values, float), np.ones(len(values)))


def of(rows: list[tuple[str, int]]) -> Interval:
    return interval([group for group, _ in rows], [value for _, value in rows])


@given(ROWS, st.randoms())
def test_the_order_of_questions_does_not_matter(rows: list[tuple[str, int]], random) -> None:
    shuffled = random.sample(rows, len(rows))
    assert of(rows) == of(shuffled)


@given(ROWS)
def test_asking_every_question_twice_makes_nobody_surer(rows: list[tuple[str, int]]) -> None:
    once, twice = of(rows), of([*rows, *rows])
    assert (once.value, once.low, once.high) == pytest.approx((twice.value, twice.low, twice.high))
    assert twice.n == 2 * once.n


def test_the_interval_has_the_width_theory_gives() -> None:
    values = np.random.default_rng(0).normal(0, 2, 400)
    found = interval([str(i) for i in range(400)], values.tolist(), draws=4000)
    assert found.low is not None and found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)  # s / sqrt(400)


def test_questions_that_stand_or_fall_together_count_as_one() -> None:
    values = [float(head % 2) for head in range(20) for _ in range(10)]
    together = interval([str(head) for head in range(20) for _ in range(10)], values)
    alone = interval([str(i) for i in range(200)], values)
    assert together.value == alone.value == 0.5
    assert together.high - together.low > 2.5 * (alone.high - alone.low)  # type: ignore[operator]


@pytest.mark.parametrize("heads", [1, 2, FEWEST - 1, FEWEST])
def test_few_heads_have_no_interval(heads: int) -> None:
    """However many questions they hold, and by either way of counting."""
    groups, values = [str(k % heads) for k in range(40)], [float(k % 3 > 0) for k in range(40)]
    found = interval(groups, values)
    others = resample(groups, 100, 0).any(lambda counts: counts @ np.array(values) / counts.sum(1))
    for one in (found, others):
        assert (one.value, one.n) == (pytest.approx(26 / 40), 40)
        assert (one.low is None) == (one.high is None) == (heads < FEWEST)


def test_heads_that_do_not_count_are_not_there() -> None:
    groups = [str(k) for k in range(30)]
    counts = np.array([1.0] * (FEWEST - 1) + [0] * (31 - FEWEST))
    few = resample(groups, 100, 0).ratio(counts, counts)
    assert (few.value, few.low, few.n) == (1, None, FEWEST - 1)


def test_nothing_counted_is_no_number() -> None:
    found = resample(["a", "b"], 100, 0).ratio(np.zeros(2), np.zeros(2))
    assert found.to_json() == {"value": None, "low": None, "high": None, "n": 0}


def test_the_same_seed_draws_the_same_heads() -> None:
    assert interval(list(HEADS), [k % 2 for k in range(12)]) == interval(list(HEADS), [k % 2 for k in range(12)])


def test_nominal_95_percent_cover_95_percent() -> None:
    """Of 600 worlds of 60 heads with one to eight questions each, right or wrong together more often than not."""
    random, covered, truth = np.random.default_rng(5), 0, 0.7
    for _ in range(600):
        asked = random.integers(1, 9, 60)
        easy = random.beta(7, 3, 60)  # of mean `truth`
        right = [float(random.random() < p) for p, n in zip(easy, asked, strict=True) for _ in range(n)]
        found = interval([str(i) for i, n in enumerate(asked) for _ in range(n)], right, draws=400)
        assert found.low is not None and found.high is not None
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 600 <= 0.98


def test_the_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(2).exponential(1, 70)
    found = interval([str(i) for i in range(70)], values.tolist(), draws=8000)
    peer = bootstrap((values,), np.mean, method="percentile", n_resamples=8000, rng=0).confidence_interval
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high), abs=0.02)
