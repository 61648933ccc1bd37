"""How traces are told: how often open, with a second look, with what surrounds a thing, with negative evidence."""

from pydantic import BaseModel, ConfigDict, Field


class Style(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    plain: bool = False
    """One sentence for each thing to say, as a small model can learn them; hundreds otherwise."""
    options: int = Field(default=4, ge=2, le=26)
    """Most options of a question."""
    open: float = Field(default=0.15, ge=0, le=1)
    """Share of groups asked without options."""
    second_look: float = Field(default=0.15, ge=0, le=1)
    """Share of traces that point at their last box a second time."""
    context: float = Field(default=0.5, ge=0, le=1)
    """Share of traces about a lesion's box that first point at what it lies in, where that is known."""
    negative: float = Field(default=0.7, ge=0, le=1)
    """Share of traces of "No" that point at what is there instead, where there is something of its kind."""
