"""What an evaluation and an audit do and with what."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EvaluateConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    """Sealed folder of shards."""
    checkpoints: dict[str, Path] = {"sft": Path("checkpoints/sft"), "rl": Path("checkpoints/rl")}
    """Folders by name, in the order they were trained: each later one is compared with the one before."""
    splits: tuple[str, ...] = ("test", "real", "shifted")
    """Splits to answer; questions keep their own dimension."""
    blank_splits: tuple[str, ...] = ("test",)
    """Splits also asked with nothing to see."""
    max_tokens: int = Field(default=160, ge=16)
    """Sampled tokens an answer may have."""
    max_boxes: int = Field(default=6, ge=1)
    """Boxes an answer may have."""
    ordered_boxes: bool = True
    """Boxes can't be inside out, as where users ask (`sampling.ASKED`); false decodes freely, as the paper does."""
    draws: int = Field(default=2000, ge=100)
    """Bootstrap resamples."""
    seed: int = 0
    """Of the resamples; answers are greedy."""
    threads: int | None = None
    """Threads of the one process that answers; all cores by default."""
    out: Path = Path("results/evaluate")
    """Where metrics.json, table.md and traces.jsonl.gz go."""


class AuditConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    checkpoint: Path = Path("checkpoints/rl")
    split: str = "test"
    questions: tuple[int, int] = (150, 100)
    """About images and about volumes, drawn by head; all of them where there are fewer."""
    max_tokens: int = Field(default=160, ge=16)
    """Sampled tokens an answer may have."""
    draws: int = Field(default=2000, ge=100)
    """Bootstrap resamples, over heads."""
    seed: int = 0
    """Of the questions drawn, of what is put elsewhere, and of the resamples."""
    threads: int | None = None
    """All cores by default."""
    out: Path = Path("results/audit")
