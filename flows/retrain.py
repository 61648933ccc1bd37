"""The whole loop: stages, log, gate, promote, look for drift.

Prefect says when and how often; what happens is in `stages`, `record` and the components, which know
nothing of it. Prefect's own caching is off: DVC knows what is up to date.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from components import environment, settings
from components.evaluation.config import EvaluateConfig
from components.registry import versions
from components.registry.gate import GateConfig
from components.registry.promotion import Change
from flows import artifacts, pictures, record, stages
from flows.record import Candidate
from model.interface.errors import BadInput, Conflict, Integrity
from monitoring.drift import Verdict
from monitoring.windows import WatchConfig, watch

P = ParamSpec("P")
R = TypeVar("R")


def step(function: Callable[P, R], name: str | None = None, retries: int = 2) -> Callable[P, R]:
    """A task of a plain function, tried again when trying again can help."""
    how = task(
        name=name, cache_policy=NO_CACHE, retries=retries, retry_delay_seconds=3, retry_condition_fn=may_work_later
    )
    return how(function)


def may_work_later(_task: object, _run: object, state: State) -> bool:
    """Bad input, a lost race and changed bytes stay what they are."""
    return not isinstance(state.result(raise_on_failure=False), BadInput | Conflict | Integrity)


@dataclass(frozen=True, slots=True)
class Outcome:
    stages: Mapping[str, str]
    """"ran" or "up to date", by stage."""
    candidate: Candidate
    change: Change | None
    """None where the gate refused."""
    drift: list[Verdict]


@flow(name="retrain")
def retrain() -> Outcome:
    home = environment.settle()
    evaluate = settings.load("evaluate", EvaluateConfig)
    done = {name: step(stages.reproduce, f"dvc repro {name}")(name) for name in stages.plan()}
    run = step(record.log)(evaluate, step(pictures.examples)(evaluate))
    candidate = step(record.enter)(evaluate, settings.load("gate", GateConfig), run)
    change = step(record.promote_if_passed, retries=0)(candidate)
    drift = step(look)(settings.load("drift", WatchConfig), home / "drift")
    artifacts.publish(evaluate, candidate, change, drift)
    return Outcome(done, candidate, change, drift)


def look(config: WatchConfig, out: Path) -> list[Verdict]:
    """Ask the champion about the windows, or the challenger while there is no champion."""
    known = versions.CHAMPION in versions.aliases()
    return watch(config, versions.resolve(versions.CHAMPION if known else versions.CHALLENGER), out)
