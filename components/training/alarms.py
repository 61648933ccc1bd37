"""Alarms over a training's figures: what a reward hides while it rises.

Each rule compares running means of the step figures and gives a reason, or nothing. An alarm rings once where it sets
in, and again only after a window of quiet. Nothing is stopped: whoever trains decides.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Figures = Mapping[str, float]


class AlarmConfig(BaseModel):
    """Limits; "at first" is the mean of the first window, "now" of the last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = Field(default=10, ge=2)
    """Steps that are averaged."""
    tool_use: float = Field(default=0.5, ge=0)
    """Answers that point: rings below this share of how many did at first."""
    box_area: float = Field(default=0.25, ge=0)
    """Mean share of the study that a box takes: rings below this share of what it was at first."""
    length: float = Field(default=1.5, gt=1)
    """Sampled tokens an answer: rings where they are this many times more, or fewer, than at first."""
    reward: float = Field(default=0.05, ge=0)
    """Rings where from one window to the next the reward gains more, while right answers lose more."""
    entropy: float = Field(default=0.3, ge=0)
    """Nats a sampled token: rings below this share of what they were at first."""
    kl: float = Field(default=0.1, gt=0)
    """Nats a token, against the sampler or the reference: rings above, and above ten times the window's median."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What a rule sees: means by figure, and the last step's figures."""

    first: Figures
    before: Figures
    """Of the window before the last; empty until there is one."""
    now: Figures
    middle: Figures
    """Medians of a window of steps before the last one."""
    last: Figures


def tool_use(seen: Windows, limits: AlarmConfig) -> str:
    first, now = seen.first["pointed"], seen.now["pointed"]
    return f"{now:.2f} of the answers point, {first:.2f} did at first" if now < limits.tool_use * first else ""


def box_area(seen: Windows, limits: AlarmConfig) -> str:
    """Silent where nothing is pointed at, which is `tool_use`'s to tell."""
    first, now = seen.first["box_area"], seen.now["box_area"]
    shrunk = 0 < now < limits.box_area * first
    return f"a box takes {now:.2%} of the study, {first:.2%} at first" if shrunk else ""


def length(seen: Windows, limits: AlarmConfig) -> str:
    first, now = seen.first["length"], seen.now["length"]
    drifted = now > limits.length * first or now * limits.length < first
    return f"an answer has {now:.0f} tokens, {first:.0f} at first" if drifted else ""


def reward_without_truth(seen: Windows, limits: AlarmConfig) -> str:
    if not seen.before:
        return ""
    gain, loss = (seen.now[name] - seen.before[name] for name in ("reward", "correct"))
    diverged = gain > limits.reward and loss < -limits.reward
    return f"the reward went {gain:+.2f}, right answers {loss:+.2f} in a window" if diverged else ""


def entropy(seen: Windows, limits: AlarmConfig) -> str:
    first, now = seen.first["entropy"], seen.now["entropy"]
    return f"{now:.3f} nats a sampled token, {first:.3f} at first" if now < limits.entropy * first else ""


def kl(seen: Windows, limits: AlarmConfig) -> str:
    for name in ("kl", "kl_reference"):
        found = seen.last.get(name, 0.0)
        if found > max(limits.kl, 10 * seen.middle.get(name, 0.0)):
            return f"{name} is {found:.3f} nats a token, {seen.middle.get(name, 0.0):.3f} before"
    return ""


RULES: dict[str, Callable[[Windows, AlarmConfig], str]] = {
    rule.__name__: rule for rule in (tool_use, box_area, length, reward_without_truth, entropy, kl)
}


class Alarms:
    """Listens to every step. Its state is part of a training's, so a resumed training rings as an undisturbed one."""

    def __init__(self, limits: AlarmConfig) -> None:
        self.limits = limits
        self.rung = Counter[str]()
        """How often each alarm set in."""
        self._first: list[dict[str, float]] = []
        self._steps: deque[dict[str, float]] = deque(maxlen=2 * limits.window)
        self._on: dict[str, int] = {}
        """Steps since its rule last held, of each alarm that is on."""

    def hear(self, figures: Figures) -> dict[str, str]:
        """Take in a step; the alarms that set in with it, and why."""
        window = self.limits.window
        if len(self._first) < window:
            self._first.append(dict(figures))
        self._steps.append(dict(figures))
        if len(self._steps) <= window:
            return {}
        steps = list(self._steps)
        full = len(steps) == 2 * window
        seen = Windows(
            first=_means(self._first),
            before=_means(steps[:window]) if full else {},
            now=_means(steps[-window:]),
            middle={name: median(step.get(name, 0.0) for step in steps[-window - 1 : -1]) for name in figures},
            last=figures,
        )
        ringing = {name: reason for name, rule in RULES.items() if (reason := rule(seen, self.limits))}
        begun = {name: reason for name, reason in ringing.items() if name not in self._on}
        self.rung.update(begun.keys())
        quiet = {name: ago + 1 for name, ago in self._on.items() if ago + 1 < window}
        self._on = quiet | dict.fromkeys(ringing, 0)
        return begun

    def state(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"rung": dict(self.rung), "first": list(self._first), "steps": list(self._steps), "on": self._on}

    def put(self, state: Mapping[str, Any]) -> None:
        self.rung, self._first, self._on = Counter(state["rung"]), list(state["first"]), dict(state["on"])
        self._steps.extend(state["steps"])


def _means(steps: list[dict[str, float]]) -> dict[str, float]:
    return {name: fmean(step.get(name, 0.0) for step in steps) for name in steps[-1]}
