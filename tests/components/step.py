"""The config of a step that there isn't."""

from pydantic import BaseModel, ConfigDict, Field


class Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=0.1, gt=0)
    steps: int = 10
