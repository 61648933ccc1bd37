"""Made-up curves: each alarm rings on its own, once, and a healthy training is quiet."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from components.training.alarms import RULES, AlarmConfig, Alarms

HEALTHY = {
    "reward": 0.5,
    "correct": 0.5,
    "pointed": 0.9,
    "box_area": 0.1,
    "length": 40.0,
    "entropy": 0.8,
    "kl": 1e-9,
    "kl_reference": 0.01,
}
STEPS = 60
Curve = Callable[[float], dict[str, float]]
"""From the share of the run behind us, in [0, 1), to what differs from HEALTHY."""


def rung(curve: Curve, limits: AlarmConfig | None = None, steps: int = STEPS) -> list[tuple[int, str]]:
    """(step, alarm) of every onset, under noise of 5 %."""
    alarms, random, heard = Alarms(limits or AlarmConfig()), np.random.default_rng(0), []
    for step in range(steps):
        figures = HEALTHY | curve(step / steps)
        noisy = {name: value * float(1 + 0.05 * random.standard_normal()) for name, value in figures.items()}
        heard += [(step, name) for name in alarms.hear(noisy)]
    return heard


@pytest.mark.parametrize(
    "curve",
    [
        lambda done: {},
        lambda done: {"reward": 0.3 + 0.5 * done, "correct": 0.3 + 0.5 * done, "entropy": 0.8 - 0.4 * done},
        lambda done: {"reward": 0.7 - 0.3 * done, "correct": 0.7 - 0.3 * done},  # worse, but honestly so
        lambda done: {"length": 40 + 12 * done, "pointed": 0.9 - 0.3 * done, "box_area": 0.1 - 0.05 * done},
        lambda done: {"kl_reference": 0.08 * done},
        lambda done: {"kl": 1e-3 if 0.5 <= done < 0.55 else 1e-9},
        lambda done: {"boxes": 0.0, "box_area": 0.0, "pointed": 0.0},  # it never pointed
    ],
    ids=[
        "level",
        "learning",
        "unlearning",
        "drifting a little",
        "away from the reference",
        "a thousandfold of nothing",
        "without boxes",
    ],
)
def test_a_healthy_training_is_quiet(curve: Curve) -> None:
    assert rung(curve) == []


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("tool_use", lambda done: {"pointed": 0.9 * (1 - done)}),
        ("box_area", lambda done: {"box_area": 0.1 * (1 - done) ** 4 + 1e-4}),
        ("length", lambda done: {"length": 40 * (1 + done)}),
        ("length", lambda done: {"length": 40 * (1 - done)}),
        ("reward_without_truth", lambda done: {"reward": 0.3 + done / 2, "correct": 0.8 - done / 2}),
        ("entropy", lambda done: {"entropy": 0.8 * (1 - done) ** 3}),
        ("kl", lambda done: {"kl": 0.5 if 0.5 <= done < 0.55 else 1e-9}),
        ("kl", lambda done: {"kl_reference": 0.01 if done < 0.5 else 0.5}),
    ],
)
def test_an_alarm_rings_once_and_alone_where_it_should(name: str, curve: Curve) -> None:
    assert [alarm for _, alarm in rung(curve)] == [name]


def test_every_rule_was_rung() -> None:
    assert set(RULES) == {"tool_use", "box_area", "length", "reward_without_truth", "entropy", "kl"}


def test_a_kl_that_spikes_early_is_heard_as_soon_as_there_is_a_window() -> None:
    [(step, name)] = rung(lambda done: {"kl": 0.5 if done >= 0.2 else 1e-4})
    assert (step, name) == (12, "kl")


def test_what_was_off_in_between_rings_again() -> None:
    curve: Curve = lambda done: {"pointed": 0.9 if done < 0.2 or 0.4 <= done < 0.8 else 0.1}  # noqa: E731
    assert [name for _, name in rung(curve)] == ["tool_use", "tool_use"]


def test_limits_are_the_configs() -> None:
    curve: Curve = lambda done: {"pointed": 0.9 - 0.3 * done}  # noqa: E731
    assert [name for _, name in rung(curve, AlarmConfig(tool_use=0.8))] == ["tool_use"]


def test_a_reason_names_both_numbers() -> None:
    alarms = Alarms(AlarmConfig(window=2))
    reasons = [alarms.hear(HEALTHY | {"pointed": pointed}) for pointed in (0.9, 0.9, 0.9, 0.2, 0.2)]
    assert reasons[-1] == {"tool_use": "0.20 of the answers point, 0.90 did at first"}
    assert alarms.rung == {"tool_use": 1}


def test_a_resumed_training_rings_as_an_undisturbed_one() -> None:
    curve = [HEALTHY | {"pointed": 0.9 * (1 - step / 30), "length": 40 * (1 + step / 20)} for step in range(30)]
    calm = Alarms(AlarmConfig(window=4))
    heard = [calm.hear(figures) for figures in curve]
    assert calm.rung == {"tool_use": 1, "length": 1}
    for stop in range(1, 29):
        stopped, again = Alarms(AlarmConfig(window=4)), Alarms(AlarmConfig(window=4))
        for figures in curve[:stop]:
            stopped.hear(figures)
        again.put(json.loads(json.dumps(stopped.state())))
        assert [again.hear(figures) for figures in curve[stop:]] == heard[stop:]
        assert again.rung == calm.rung
