import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.multitest import multipletests

from components.evaluation.intervals import FEWEST
from components.evaluation.paired import Difference, difference, holm
from tests.components.evaluation.worlds import HEADS, worlds


def measure(ours: np.ndarray, theirs: np.ndarray, groups: list[str], null: float = 0.0) -> Difference:
    return difference(ours, theirs, np.ones(ours.shape[1]), groups, null=null)


def test_a_difference_by_hand() -> None:
    ours, theirs = np.array([[1.0, 1, 0, 1]]), np.array([[1.0, 0, 0, 0]])
    found = measure(ours, theirs, list("aabb"))
    assert (found.value, found.n, found.seeds) == (0.5, 4, 1)
    outside = difference(ours, theirs, np.array([1.0, 1, 0, 0]), list("aabb"))
    assert (outside.value, outside.n) == (0.5, 2)
    nothing = difference(ours, theirs, np.zeros(4), list("aabb"))
    assert (nothing.value, nothing.n) == (None, 0)


@pytest.mark.parametrize("heads", [2, FEWEST - 1, FEWEST])
def test_few_heads_have_neither_interval_nor_p(heads: int) -> None:
    """However many seeds and questions: two heads that both gain are no proof."""
    counts = np.array([1.0] * 4 * heads + [0.0] * 40)  # heads that don't count make nobody surer
    ours = np.random.default_rng(0).integers(0, 2, (3, len(counts))).astype(float)
    found = difference(ours, np.zeros_like(ours), counts, [str(k // 4) for k in range(len(counts))])
    assert (found.value, found.n) == (pytest.approx(ours[:, : 4 * heads].mean()), 4 * heads)
    assert (found.low is None) == (found.high is None) == (found.p is None) == (heads < FEWEST)


def test_what_does_not_count_does_not_enter() -> None:
    """Sums beside a count of 0, of a head that has others that do: neither value, interval nor p is of them."""
    random = np.random.default_rng(1)
    ours, counts = random.integers(0, 2, (3, 60)).astype(float), np.array([1.0, 1.0, 0.0] * 20)
    groups = [str(k // 3) for k in range(60)]
    found = difference(ours, np.zeros_like(ours), counts, groups)
    for other in (99.0, np.nan):
        assert difference(np.where(counts > 0, ours, other), np.zeros_like(ours), counts, groups) == found


def test_no_number_is_refused_by_its_place() -> None:
    ours = np.ones((2, 30))
    ours[1, 7] = np.nan
    with pytest.raises(ValueError, match=r"\(1, 7\): found nan, wanted a finite number"):
        measure(ours, np.zeros_like(ours), [str(k) for k in range(30)])
    with pytest.raises(ValueError, match=r"p \(1,\): found nan"):
        holm([0.01, float("nan"), 0.04])


def test_one_run_and_itself_do_not_differ() -> None:
    run = np.random.default_rng(0).integers(0, 2, (3, 60)).astype(float)
    found = measure(run, run, [str(i) for i in range(60)])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("null", [0.0, -0.2])
def test_one_seed_is_the_paired_t_test(null: float) -> None:
    """Questions each of its own head: scipy's own test of the same pairs."""
    random = np.random.default_rng(3)
    theirs = random.normal(0, 1, 80)
    ours = theirs + random.normal(0.25, 1, 80)
    found, peer = measure(ours[None], theirs[None], [str(i) for i in range(80)], null), ttest_rel(ours, theirs + null)
    interval = ttest_rel(ours, theirs).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(peer.pvalue)


@pytest.mark.parametrize("gains", [[0.3, -0.2, 0.25, 0.1, -0.1], [0.10, 0.06, 0.12, 0.05, 0.09]])
def test_seeds_that_alone_count_are_as_sure_as_their_t_test(gains: list[float]) -> None:
    """A seed that moves all answers alike: scipy's own test of as many numbers as there are seeds."""
    found = measure(np.repeat(np.array(gains)[:, None], 200, 1), np.zeros((5, 200)), [str(i) for i in range(200)])
    peer = ttest_rel(gains, np.zeros(5))
    interval = peer.confidence_interval()
    assert found.value == pytest.approx(np.mean(gains))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(peer.pvalue)


def test_p_and_the_interval_say_the_same() -> None:
    for found in worlds(7, 200, by_seed=0.3, by_head=0.5, by_answer=1):
        assert found.low is not None and found.high is not None and found.p is not None
        assert (found.p <= 0.05) == (not found.low < 0 < found.high)


@pytest.mark.parametrize(("by_seed", "by_head", "by_answer"), [(0.3, 0.5, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_five_seeds_cover_what_they_say(by_seed: float, by_head: float, by_answer: float) -> None:
    """Of 600 worlds without a difference, about 95 % have none in their interval, whatever chance is made of."""
    covered = 0
    for found in worlds(7, 600, by_seed=by_seed, by_head=by_head, by_answer=by_answer):
        assert found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / 600 <= 0.98


@pytest.mark.parametrize("by_head", [0.0, 0.5])
def test_p_is_no_smaller_than_chance_makes_it_even_where_holm_looks(by_head: float) -> None:
    """Worlds without a difference whose seeds matter most, as often below .05 and .05 / 23 as that says."""
    chances = [found.p for found in worlds(11, 2000, by_seed=0.3, by_head=by_head, by_answer=1)]
    assert 0.025 <= np.mean([p is not None and p <= 0.05 for p in chances]) <= 0.06
    assert np.mean([p is not None and p <= 0.05 / 23 for p in chances]) <= 0.004


def test_seeds_that_hardly_vary_cost_little() -> None:
    """Forty heads find what is five times its spread; four degrees of freedom would find it once in twenty."""
    found = worlds(13, 300, by_seed=0.05, by_head=1, by_answer=1, gain=5 * np.sqrt(0.05**2 / 5 + 1 / HEADS + 1 / 200))
    assert np.mean([one.p is not None and one.p <= 0.05 / 23 for one in found]) >= 0.65


def test_two_seeds_that_are_equal_by_rounding_say_nothing_by_that() -> None:
    """Right and wrong answers by chance alone: in 18 of 1,000 such worlds both seeds gain the very same."""
    random = np.random.default_rng(17)
    groups = [str(k // 7) for k in range(280)]
    answers = random.binomial(1, 0.75, (1000, 2, 2, 280)).astype(float)
    found = [measure(ours, theirs, groups) for ours, theirs in answers]
    assert sum(one.p is not None and one.p <= 0.05 / 23 for one in found) <= 2


def test_holm_is_statsmodels_holm() -> None:
    chances = [0.01, 0.04, 0.03, 0.005, 0.5, 0.03]
    assert holm(chances) == pytest.approx(multipletests(chances, method="holm")[1])
    assert holm([]) == []
