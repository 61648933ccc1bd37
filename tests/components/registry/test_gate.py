import copy
from typing import Any

import pytest

from components.registry.gate import GateConfig, judge


def metric(value: float, half: float = 0.03) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half, "n": 300}


def numbers(**changes: dict[str, Any]) -> dict[str, Any]:
    good = {
        "accuracy": metric(0.8),
        "baseline_majority": metric(0.5),
        "baseline_blank": metric(0.5),
        "localisation_iou": metric(0.6),
        "valid_format": metric(0.99, 0.01),
    }
    return {"2d": copy.deepcopy(good), "3d": copy.deepcopy(good | changes)}


def test_a_checkpoint_that_sees_passes() -> None:
    assert judge(numbers(), None, GateConfig()).passed
    assert judge(numbers(), numbers(), GateConfig()).passed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"baseline_blank": metric(0.76)}, "3d accuracy above baseline_blank: accuracy from 0.770"),
        ({"baseline_majority": metric(0.76)}, "3d accuracy above baseline_majority"),
        ({"baseline_blank": metric(0.74)}, "baseline_blank up to 0.770"),  # touching is not apart
        ({"accuracy": metric(0.8) | {"low": None, "high": None}}, "too few studies"),
        ({"valid_format": metric(0.97)}, "3d valid_format: 0.970, at least 0.980"),
    ],
)
def test_a_refusal_says_which_number_in_which_dimension(changes: dict[str, Any], reason: str) -> None:
    verdict = judge(numbers(**changes), None, GateConfig())
    assert not verdict.passed
    assert any(reason in told for told in verdict.reasons)
    assert not any(told.startswith("2d") for told in verdict.reasons)


@pytest.mark.parametrize(("name", "value", "passed"), [("accuracy", 0.785, True), ("accuracy", 0.775, False),
                                                       ("localisation_iou", 0.5, False)])  # fmt: skip
def test_a_challenger_may_not_be_clearly_worse_than_the_champion(name: str, value: float, passed: bool) -> None:
    assert judge(numbers(**{name: metric(value, 0.01)}), numbers(), GateConfig()).passed is passed


def test_nothing_measured_is_refused() -> None:
    assert not judge({}, None, GateConfig()).passed


def test_an_audit_is_judged_by_the_low_end_of_what_it_found() -> None:
    sees = {"2d": {"image": metric(0.3)}, "3d": {"image": metric(0.2)}}
    blind = {"2d": {"image": metric(0.3)}, "3d": {"image": metric(0.02)}}
    assert judge(numbers(), None, GateConfig(), sees).passed
    refused = judge(numbers(), None, GateConfig(), blind)
    assert refused.reasons == ("3d audit, image: 0.020, from -0.010, above 0.000",)
    strict = GateConfig(least_costs={"image": 0.25, "evidence": 0.0})
    reasons = judge(numbers(), None, strict, sees).reasons
    assert len(reasons) == 3  # image in 3D, and evidence, which was not measured, in both
    assert "not measured" in reasons[0]


def test_without_an_audit_there_is_nothing_to_judge_it_by() -> None:
    assert judge(numbers(), None, GateConfig(least_costs={"evidence": 0.5})).passed
