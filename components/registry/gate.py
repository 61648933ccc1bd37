"""The gate: may this checkpoint be the champion? A pure function of published numbers.

It must see (beat the baselines that don't, intervals apart), speak the grammar, not be clearly worse than the champion,
and, where it was audited, answer by the picture. Every check is kept with its numbers, so a refusal can be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

BLIND = ("baseline_majority", "baseline_blank")
KEPT = ("accuracy", "localisation_iou")
"""Metrics in which a challenger may not fall behind the champion."""


class GateConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    min_valid_format: float = Field(default=0.98, ge=0, le=1)
    """Smallest share of answers that follow the grammar."""
    margin: float = Field(default=0.02, ge=0, le=1)
    """How far `KEPT` may fall below the champion's, absolute."""
    least_costs: dict[str, float] = {"image": 0.0}
    """Of the audit: what each of its scores must exceed with the low end of its interval, in both dimensions."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    passed: bool
    detail: str
    """The numbers compared."""


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was not good enough."""
        return tuple(f"{check.name}: {check.detail}" for check in self.checks if not check.passed)


def judge(
    candidate: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
    config: GateConfig,
    audit: Mapping[str, Any] | None = None,
) -> Verdict:
    """Judge by the numbers of one split, "2d" and "3d", as `metrics.json` holds them.

    champion: its numbers on the same questions; None where there is no champion, or none on these.
    audit: "2d" and "3d" as the audit of this very checkpoint holds them; None where there is none, which is no check.
    """
    checks: list[Check] = []
    for dimension, metrics in candidate.items():
        checks += [_apart(dimension, metrics, blind) for blind in BLIND]
        checks.append(_at_least(f"{dimension} valid_format", metrics["valid_format"], config.min_valid_format))
        for name in KEPT:
            before = (champion or {}).get(dimension, {}).get(name)
            if before:
                floor = before["value"] - config.margin
                checks.append(_at_least(f"{dimension} {name} beside the champion's", metrics[name], floor))
        for name, least in config.least_costs.items() if audit else ():
            checks.append(_costs(f"{dimension} audit, {name}", (audit or {}).get(dimension, {}).get(name), least))
    return Verdict(tuple(checks))


def _apart(dimension: str, metrics: Mapping[str, Any], blind: str) -> Check:
    """Accuracy above a baseline, the two intervals not touching."""
    name = f"{dimension} accuracy above {blind}"
    low, high = metrics["accuracy"]["low"], metrics[blind]["high"]
    if low is None or high is None:
        return Check(name, False, "no interval: too few studies")
    return Check(name, low > high, f"accuracy from {low:.3f}, {blind} up to {high:.3f}")


def _costs(name: str, found: Mapping[str, Any] | None, least: float) -> Check:
    """What an intervention costs, the whole interval above `least`."""
    if not found or found["low"] is None:
        return Check(name, False, "no interval: not measured, or on too few studies")
    return Check(name, found["low"] > least, f"{found['value']:.3f}, from {found['low']:.3f}, above {least:.3f}")


def _at_least(name: str, metric: Mapping[str, Any], floor: float) -> Check:
    return Check(name, metric["value"] >= floor, f"{metric['value']:.3f}, at least {floor:.3f}")
