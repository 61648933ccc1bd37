"""Training outside the graph: a profile's run, which DVC doesn't know, and any run's plan.

dvc.yaml's stages are those of params.yaml. A profile named on the command line is another run, with a checkpoint and
results named after it; with `profile:` in params.yaml the stage itself is that profile's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components import settings
from components.training import estimate, rl, sft
from components.training.config import TrainingConfig

STAGES: dict[str, tuple[type[TrainingConfig], str, Any]] = {
    "sft": (sft.SftConfig, "base", sft.run),
    "rl": (rl.RlConfig, "sft", rl.run),
}
"""By name: config, the field that names where it starts, what runs it."""


def config_of(stage: str, profile: str | None) -> TrainingConfig:
    """params.yaml's section, under a profile where one is named."""
    cls, start, _ = STAGES[stage]
    said: dict[str, Any] = {}
    if profile:
        said = {"profile": profile}
    if profile and profile != "tiny":
        said |= {"out": f"checkpoints/{stage}-{profile}", "results": f"results/{stage}-{profile}/metrics.json"}
        said |= {"sft": f"checkpoints/sft-{profile}"} if start == "sft" else {}
    return settings.load(stage, cls, said=said)


def run(stage: str, profile: str) -> Path:
    """Train it here, without DVC; the checkpoint's folder."""
    config = config_of(stage, profile)
    STAGES[stage][2](config)
    return config.out


def plan(stage: str, profile: str | None) -> Iterator[str]:
    """What a run would go through, without starting it; raises BadInput where it can't fit its device."""
    config = config_of(stage, profile)
    start: Path = getattr(config, STAGES[stage][1])
    if stage == "rl" and not start.exists():  # a checkpoint to come, of the shape of what it comes from
        start = sft.SftConfig(profile=config.profile).base
    yield from estimate.lines(stage, start, config)
