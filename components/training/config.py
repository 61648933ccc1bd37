"""What every training can be told; a stage adds its own. A profile is a set of values for a kind of machine."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.training import profiles


class Lora(BaseModel):
    """Low-rank additions to every linear layer of the language model; never to the tower or the head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    """What is added is scaled by alpha / rank."""
    tokens: tuple[str, ...] = ()
    """Tokens that are new to the model: their rows of the embedding are trained as well, no other row is."""


class TrainingConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Literal["tiny", "h200-3b-lora", "h200-7b-full", "cluster-7b"] = "tiny"
    """Values for a kind of machine, see `profiles`; what is said here as well is said last."""
    data: Path = Path("data")
    out: Path
    results: Path

    tune: Literal["full", "lora", "qlora"] = "full"
    """full: the whole language side. qlora: as lora, on a base kept in 4 bits; wants bitsandbytes and a GPU."""
    lora: Lora = Lora()
    dtype: Literal["fp32", "bf16"] = "fp32"
    """Of the arithmetic. Trained weights and the optimiser are fp32 always."""
    checkpointing: bool = False
    """Work a layer's activations out again on the way back: less memory, a third more arithmetic."""
    micro_tokens: int = Field(default=4096, ge=1)
    """Tokens that go through the model together; a longer row goes alone. A step is as many such batches as it takes,
    and their number changes nothing but rounding."""

    workers: int | tuple[int, int] = 2
    """How many, or (at least, at most): then a run goes on with as many as the cluster has."""
    resize_s: float = Field(default=60.0, gt=0)
    """Seconds between looks at whether the cluster has room for more of them."""
    threads: int = Field(default=1, ge=1)
    """Of each worker."""
    parallel: Literal["ddp", "fsdp2"] = "ddp"
    """ddp: every worker holds everything. fsdp2: each layer of the language model is spread over the workers."""
    gpu: bool = False
    address: str | None = None
    """A running Ray cluster, as "auto" or "ray://head:10001"; RAY_ADDRESS or a cluster of our own where it is None."""
    device_gb: float | None = Field(default=None, gt=0)
    """Memory of a worker's device, 10^9 bytes: a run that can't fit is refused before it starts."""

    keep: int = Field(default=2, ge=1)
    """States that are kept, the last ones; an older one is there for when the last is damaged."""
    best: tuple[str, Literal["min", "max"]] | None = None
    """One of `figures`, as ("loss", "min"): the state where it was best is kept too, and is the one published."""
    features_gb: float = Field(default=0.0, ge=0)
    """Disk for visual tokens that outlive the run, 10^9 bytes, under .urm/features; 0 keeps them in memory only, see
    `keeping`."""

    @property
    def figures(self) -> tuple[str, ...]:
        """What the loop saves with a state."""
        return ("loss",)

    @property
    def fewest(self) -> int:
        """Workers a run can do with."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most(self) -> int:
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    @model_validator(mode="before")
    @classmethod
    def _profile_below(cls, told: Any) -> Any:
        if not isinstance(told, dict):
            return told
        return cls._of_profile(told.get("profile", "tiny")) | told

    @classmethod
    def _of_profile(cls, name: str) -> dict[str, Any]:
        known = profiles.PROFILES.get(name, {})
        starts = next((start for start in ("base", "sft") if start in cls.model_fields), "")
        return known.get("any", {}) | known.get(starts, {})

    def _usual(self, name: str) -> Any:
        """A field's value where nobody says one. Only what differs was said: a worker is sent every value."""
        default = type(self).model_fields[name].get_default(call_default_factory=True)
        return self._of_profile(self.profile).get(name, default)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not 1 <= self.fewest <= self.most:
            raise ValueError(f"workers {self.workers}: a number from 1, or (at least, at most)")
        if self.tune == "qlora" and self.parallel == "fsdp2":
            raise ValueError("tune qlora with parallel fsdp2: 4-bit weights aren't spread, take ddp")
        if self.tune == "qlora" and not self.gpu:
            raise ValueError("tune qlora with gpu false: 4-bit weights want a GPU, set gpu true or take lora")
        if self.tune == "full" and self.lora != Lora.model_validate(self._usual("lora")):
            raise ValueError("lora with tune full: nothing is added there, take tune lora or leave lora out")
        if self.best and self.best[0] not in self.figures:
            raise ValueError(f"best {self.best[0]}: not saved with a state, take one of {', '.join(self.figures)}")
        return self
