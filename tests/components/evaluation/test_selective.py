import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from components.evaluation.selective import BINS, brier, calibration_error, confidence, risk_coverage, selective
from tests.components.evaluation.made import trace

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_risk_by_hand() -> None:
    """Surest first: right, wrong, then two equally sure, one of them right."""
    coverage, risk = risk_coverage([0.9, 0.8, 0.3, 0.3], [True, False, True, False])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 1 / 2, 1.5 / 3, 2 / 4])


@given(ANSWERS, st.randoms())
def test_the_order_of_equally_sure_answers_does_not_matter(answers: list[tuple[float, bool]], random) -> None:
    shuffled = random.sample(answers, len(answers))
    a, b = (risk_coverage([p for p, _ in some], [y for _, y in some])[1] for some in (answers, shuffled))
    assert a == pytest.approx(b)
    assert a[-1] == pytest.approx(np.mean([not y for _, y in answers]))


@given(ANSWERS)
def test_calibration_error_is_what_sklearns_curve_gives(answers: list[tuple[float, bool]]) -> None:
    p, y = np.array([p for p, _ in answers]), np.array([y for _, y in answers], int)
    inside = np.isclose(p * BINS, np.round(p * BINS))  # sklearn closes its bins at the other end
    p, y = p[~inside], y[~inside]
    if not len(p):
        return
    was, said = calibration_curve(y, p, n_bins=BINS)
    counts = np.bincount((p * BINS).astype(int), minlength=BINS)
    peer = (counts[counts > 0] * np.abs(was - said)).sum() / len(p)
    assert calibration_error(p.tolist(), y.astype(bool).tolist()) == pytest.approx(peer)


def test_brier_is_sklearns() -> None:
    p, y = [0.9, 0.2, 0.6], [True, False, False]
    assert np.mean([brier(a, b) for a, b in zip(p, y, strict=True)]) == pytest.approx(brier_score_loss(y, p))


def test_an_answer_of_no_tokens_or_of_no_probability_has_no_confidence() -> None:
    assert confidence(replace(trace(), mean_logprob=math.log(0.75))) == pytest.approx(0.75)
    assert confidence(replace(trace(), mean_logprob=math.nan)) is None
    assert confidence(replace(trace(), sampled=0)) is None


def test_nothing_has_no_figures() -> None:
    told = selective([], [])
    assert (told["area"], told["calibration_error"], told["n"]) == (None, None, 0)
