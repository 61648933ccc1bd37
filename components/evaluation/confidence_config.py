"""What stage `confidence` does and with what."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ConfidenceConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    """Sealed folder of shards."""
    checkpoint: Path = Path("checkpoints/rl")
    fit: str = "val"
    """Split that calibration is fitted on."""
    judge: str = "test"
    """Split that it is judged on."""
    signal: Literal["likelihood", "agreement", "raw"] = "raw"
    """What becomes the probability that is written; "raw" joins the two others."""
    samples: int = Field(default=4, ge=0)
    """Further answers to each question; 0 leaves agreement out."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the further answers."""
    right_iou: float = Field(default=0.5, gt=0, le=1)
    """IoU from which a box is right."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """Least probability at which a box is worth showing."""
    questions: int | None = Field(default=160, ge=1)
    """Of each split, so many at even distances; None for all."""
    draws: int = Field(default=2000, ge=100)
    """Bootstrap resamples, over heads."""
    seed: int = 0
    """Of the further answers and of the resamples."""
    threads: int | None = None
    """All cores by default."""
    out: Path = Path("results/confidence")
    """Where calibration.json, metrics.json and reliability.png go."""
