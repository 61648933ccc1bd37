import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from components.evaluation.paired import Difference, difference, holm

HEADS = 40


def measure(ours: np.ndarray, theirs: np.ndarray, groups: list[str], draws: int = 2000) -> Difference:
    return difference(ours, theirs, np.ones(ours.shape[1]), groups, draws=draws, seed=0)


def test_a_difference_by_hand() -> None:
    ours, theirs = np.array([[1.0, 1, 0, 1]]), np.array([[1.0, 0, 0, 0]])
    found = measure(ours, theirs, list("aabb"))
    assert (found.value, found.n, found.seeds) == (0.5, 4, 1)
    outside = difference(ours, theirs, np.array([1.0, 1, 0, 0]), list("aabb"), draws=100, seed=0)
    assert (outside.value, outside.n, outside.low) == (0.5, 2, None)  # one head is all that is left
    nothing = difference(ours, theirs, np.zeros(4), list("aabb"), draws=100, seed=0)
    assert (nothing.value, nothing.n) == (None, 0)


def test_one_run_and_itself_do_not_differ() -> None:
    run = np.random.default_rng(0).integers(0, 2, (3, 60)).astype(float)
    found = measure(run, run, [str(i) for i in range(60)])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_one_seed_is_as_sure_as_the_paired_t_test() -> None:
    """Questions each of its own head: scipy's own test of the same pairs."""
    random = np.random.default_rng(3)
    theirs = random.normal(0, 1, 80)
    ours = theirs + random.normal(0.25, 1, 80)
    found, peer = measure(ours[None], theirs[None], [str(i) for i in range(80)], 20_000), ttest_rel(ours, theirs)
    interval = peer.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.02)
    assert found.p == pytest.approx(peer.pvalue, abs=0.015)


def test_a_seed_that_moves_all_answers_makes_nobody_surer_than_there_are_seeds() -> None:
    gains = np.array([0.3, -0.2, 0.25, 0.1, -0.1])
    found = measure(np.repeat(gains[:, None], 200, 1), np.zeros((5, 200)), [str(i) for i in range(200)])
    half = 2.776 * gains.std(ddof=1) / np.sqrt(5)  # Student's t with four degrees of freedom
    assert found.value == pytest.approx(gains.mean())
    assert found.high is not None and found.low is not None
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(("by_seed", "by_head", "by_answer"), [(0.3, 0.5, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_five_seeds_cover_what_they_say(by_seed: float, by_head: float, by_answer: float) -> None:
    """Of 600 worlds without a difference, about 95 % have none in their interval, whatever chance is made of."""
    random = np.random.default_rng(7)
    groups = [str(i) for i in range(HEADS)]
    covered = 0
    for _ in range(600):
        gaps = random.normal(0, by_seed, (5, 1)) + random.normal(0, by_head, (1, HEADS))
        found = measure(gaps + random.normal(0, by_answer, (5, HEADS)), np.zeros((5, HEADS)), groups, 400)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 600 <= 0.98


def test_holm_is_statsmodels_holm() -> None:
    chances = [0.01, 0.04, 0.03, 0.005, 0.5, 0.03]
    assert holm(chances) == pytest.approx(multipletests(chances, method="holm")[1])
    assert holm([]) == []
