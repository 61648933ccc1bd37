"""What stage `consistency` does and with what."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ConsistencyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    """Sealed folder of shards."""
    traces: Path = Path("results/evaluate/traces.jsonl.gz")
    """The evaluation's answers: those about volumes are not asked for again."""
    name: str = "rl"
    """Of the checkpoint in the traces."""
    checkpoint: Path = Path("checkpoints/rl")
    """The same one, to ask about slices."""
    split: str = "test"
    draws: int = Field(default=2000, ge=100)
    """Bootstrap resamples, over heads."""
    seed: int = 0
    """Of the resamples; answers are greedy."""
    threads: int | None = None
    """All cores by default."""
    out: Path = Path("results/consistency")
    """Where metrics.json goes."""
