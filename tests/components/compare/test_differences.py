import numpy as np
import pytest
from scipy.stats import ttest_rel

from components.compare.differences import Compared, alone, changed, compare, corrected, every, line
from components.compare.runs import Run
from components.evaluation.paired import Difference
from model.interface.errors import BadInput
from tests.components.compare.made import counting, only, run
from tests.components.evaluation.worlds import worlds

GOOD, BAD = run("good", 2), run("bad", 12)


def test_a_difference_is_over_common_seeds_and_questions() -> None:
    found = compare(GOOD, BAD, "accuracy", "3d").found
    assert (found.value, found.n, found.seeds) == (0.25, 40, 5)
    fewer = compare(GOOD, only(BAD, 1, 3), "accuracy", "3d")
    assert (fewer.found.seeds, fewer.left_out) == (2, "without seed 0, 2, 4 of good")
    assert compare(GOOD, BAD, "accuracy", "2d").found.n == 0


def test_images_and_volumes_do_not_touch_one_another() -> None:
    """Ten answers more are right, of either kind five: of twenty each."""
    ours, theirs = (run(name, wrong, dimensions=(2, 3)) for name, wrong in (("ours", 2), ("theirs", 12)))
    for dimension in ("2d", "3d"):
        found = compare(ours, theirs, "accuracy", dimension).found
        assert (found.value, found.n) == (pytest.approx(0.25), 20)
        assert [f"{one.dimension}d" for one in changed(ours, theirs, (dimension,))] == [dimension] * 5
    assert len(changed(ours, theirs, ("2d", "3d"))) == 10
    flat = alone(run("ours", 21, seeds=1, dimensions=(2, 3)), "accuracy", "2d")
    assert flat.value == pytest.approx(9 / 20)


def test_a_metric_that_only_one_of_them_has_is_refused() -> None:
    """Nothing counted is not nothing right."""
    having = counting(GOOD, "sampled_accuracy", dict.fromkeys(range(5), 1.0))
    with pytest.raises(BadInput, match="not all of these answers have this metric") as error:
        compare(having, BAD, "sampled_accuracy", "3d")
    told = "bad, seed 0, question q0, sampled_accuracy: found a count of 0, wanted 1 as in good, seed 0"
    assert error.value.where == told
    some = counting(GOOD, "sampled_accuracy", {0: 1.0, 2: 1.0})
    with pytest.raises(BadInput) as error:
        compare(some, counting(BAD, "sampled_accuracy", {0: 1.0, 2: 1.0}), "sampled_accuracy", "3d")
    assert error.value.where.startswith("good, seed 1, question q0, sampled_accuracy: found a count of 0, wanted 1")
    (nobody,) = corrected([compare(GOOD, BAD, "sampled_accuracy", "3d")])
    assert nobody.verdict == "not measured"


def test_one_seed_each_is_told_to_judge_checkpoints() -> None:
    both, (one,) = every([only(BAD, 0, 1), GOOD], ("accuracy",)), every([only(BAD, 0), GOOD], ("accuracy",))
    assert "seeds 2 (without seed 2, 3, 4 of good): " in line(both[0])
    assert "of good; one seed each, the interval is chance of heads only, two checkpoints are judged" in line(one)
    assert line(every([BAD, GOOD], ("accuracy",))[0]).endswith("n 40, seeds 5: better")


def test_an_interval_of_shares_ends_where_shares_do() -> None:
    """Two seeds that differ by much: t alone would say -2 to 3."""
    found = alone(run("apart", 0, seeds=2), "accuracy", "3d")
    assert found.low is not None and found.high == 1
    apart = counting(run("apart", 0, seeds=2), "hit_50", {0: 1.0, 1: 0.1})
    assert (alone(apart, "hit_50", "3d").low, alone(apart, "hit_50", "3d").high) == (0, 1)
    none = counting(run("none", 0, seeds=2), "hit_50", {0: 0.0, 1: 0.0})
    assert (compare(apart, none, "hit_50", "3d").found.low, compare(none, apart, "hit_50", "3d").found.high) == (-1, 1)
    long = alone(counting(run("long", 0, seeds=2), "length", {0: 30.0, 1: 40.0}), "length", "3d")
    assert long.value == 35 and long.high is not None and long.high > 40


def test_nothing_in_common_is_told_by_name() -> None:
    other = Run("other", "other", {9: BAD.seeds[0]}, {}, {})
    with pytest.raises(BadInput, match="can't be compared") as error:
        compare(GOOD, other, "accuracy", "3d")
    assert "good and other" in error.value.where


def test_a_metric_that_does_not_pair_up_is_refused() -> None:
    with pytest.raises(BadInput, match="in pairs"):
        compare(GOOD, BAD, "centre_error_mm", "3d")


def test_all_rows_are_corrected_together() -> None:
    rows = every([BAD, GOOD, run("same", 12)], ("accuracy", "box_iou"))
    assert [(row.better, row.metric, row.found.n) for row in rows] == [
        ("good", "accuracy", 40), ("good", "box_iou", 40), ("same", "accuracy", 40), ("same", "box_iou", 40)
    ]  # fmt: skip
    best = rows[0]
    assert best.found.p is not None and best.corrected == pytest.approx(min(1, 4 * best.found.p))
    assert [row.verdict for row in rows] == ["better", "unsure", "unsure", "unsure"]


def test_the_verdict_is_the_corrected_one() -> None:
    def judged(value: float | None, p: float | None, metric: str = "accuracy", within: float | None = None) -> str:
        (row,) = corrected([Compared("a", "b", metric, "3d", Difference(value, None, None, p, 9, 5), within=within)])
        return row.verdict

    assert judged(0.1, 0.01) == "better"
    assert judged(-0.1, 0.01) == "worse"
    assert judged(0.1, 0.2) == "unsure"
    assert judged(0.1, None) == "not measured"
    assert [judged(value, 0.01, "brier") for value in (0.1, -0.1)] == ["worse", "better"]
    assert [judged(value, 0.01, "length") for value in (0.1, -0.1)] == ["more", "less"]
    assert [judged(value, 0.01, "flaws", 0.2) for value in (0.1, 0.3, -0.3)] == ["kept", "lost", "kept"]


def test_no_worse_than_a_margin_is_what_is_asked() -> None:
    """A small loss that is surely no larger than allowed is kept; the same loss of which less is allowed is not."""
    fewer = run("fewer", 3)  # one of 40 more wrong with every seed: 0.025 less

    def judged(ours: Run, theirs: Run, within: float) -> str:
        (row,) = corrected([compare(ours, theirs, "accuracy", "3d", within=within)])
        assert row.found.low is not None and row.found.high is not None and row.found.p is not None
        assert (row.verdict == "kept") == (row.found.low > -within)
        assert (row.verdict == "lost") == (row.found.high < -within)
        return row.verdict

    assert judged(fewer, GOOD, 0.1) == "kept"
    assert judged(fewer, GOOD, 0.03) == "unsure"
    assert judged(BAD, GOOD, 0.02) == "lost"
    assert judged(GOOD, BAD, 0.02) == "kept"


def test_a_loss_of_what_should_be_little_is_a_rise() -> None:
    """And p is of that rise; what is neither good nor bad can't be lost."""
    none = counting(GOOD, "flaws", dict.fromkeys(range(5), 0.0))
    few = counting(GOOD, "flaws", {0: 0.1, 1: 0.11, 2: 0.1, 3: 0.09, 4: 0.1})
    rows = corrected([compare(few, none, "flaws", "3d", within=within) for within in (0.2, 0.1, 0.05)])
    assert [row.verdict for row in rows] == ["kept", "unsure", "lost"]
    with pytest.raises(BadInput, match="can be lost") as error:
        compare(GOOD, BAD, "length", "3d", within=0.5)
    assert "found 0.5 of length" in error.value.where


def test_p_of_a_margin_is_of_that_loss_not_of_none() -> None:
    """Twice scipy's one-sided p that the mean over heads lies above the loss."""
    ours, theirs = run("ours", 3, seeds=1), run("theirs", 2, seeds=1)
    found = compare(ours, theirs, "accuracy", "3d", within=0.1).found
    heads = [-0.5 if k == 1 else 0.0 for k in range(20)]
    peer = ttest_rel(heads, [-0.1] * 20, alternative="greater")
    assert found.p == pytest.approx(2 * peer.pvalue)
    none = compare(ours, theirs, "accuracy", "3d").found.p
    assert none == pytest.approx(ttest_rel(heads, [0.0] * 20).pvalue)


def test_a_whole_table_of_nothing_seldom_says_anything() -> None:
    """200 tables of 23 rows without a difference, seeds mattering most: at most a twentieth of them may, by chance."""
    found = list(worlds(19, 200 * 23, by_seed=0.3, by_head=0, by_answer=1))
    tables = [
        [Compared("a", "b", "accuracy", "3d", row) for row in found[k : k + 23]] for k in range(0, len(found), 23)
    ]
    said = [any(row.verdict != "unsure" for row in corrected(table)) for table in tables]
    assert np.mean(said) <= 0.08


def test_a_run_alone_has_its_mean_over_seeds() -> None:
    found = alone(GOOD, "accuracy", "3d")
    assert found.value == pytest.approx((38 + 37 + 36 + 35 + 34) / 200)
    assert found.low is not None and found.high is not None
    assert found.low < 0.9 < found.high


def test_changed_answers_come_with_how_many_seeds_agree() -> None:
    found = changed(GOOD, BAD, ("3d",))
    assert len(found) == 10 and all(one.gained for one in found)
    by_name = {one.question: one.seeds for one in found}
    assert by_name["q11"] == 5  # wrong in all of the one, right in all of the other
    assert by_name["q2"] == 1  # the good run's further seeds are wrong there too
    assert [one.seeds for one in found] == sorted((one.seeds for one in found), reverse=True)
