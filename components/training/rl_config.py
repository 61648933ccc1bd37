"""What stage `rl` can be told. Defaults are for the embedded model."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, ValidationInfo, field_validator, model_validator

from components.training.alarms import AlarmConfig
from components.training.config import TrainingConfig
from model.learning.objectives import Clip, Objective, clip_of
from model.learning.rewards import Name
from model.vlm.sampling import Sampling

USUAL = Sampling()
FIGURES = (
    *("reward", "correct", "valid_format", "pointed", "boxes", "crops", "truncated", "length"),
    *("flat", "groups", "tokens", "off_policy", "box_area", "entropy", "ratio", "kl"),
)
"""What every update tells, see `policy`."""


class RlConfig(TrainingConfig):
    sft: Path = Path("checkpoints/sft")
    out: Path = Path("checkpoints/rl")
    results: Path = Path("results/rl/metrics.json")
    seed: int = Field(default=5, ge=0)
    steps: int = Field(default=60, ge=1)
    images: int = Field(default=6, ge=0)
    """Questions about images a step, over all workers."""
    volumes: int = Field(default=2, ge=0)
    """Questions about volumes a step, over all workers: about the paper's 170 to 50."""
    group: int = Field(default=8, ge=2)
    """Answers sampled to each question."""
    max_tokens: int = Field(default=120, ge=8)
    """Sampled tokens an answer; a longer one is cut and left out of the update."""
    max_boxes: int = Field(default=USUAL.max_boxes, ge=0)
    """Boxes of an answer that are answered; a further one is a flaw."""
    max_slices: int | None = Field(default=None, ge=1)
    """Slices shown of one cuboid, where fewer than the contract's. Room is foreseen for every slice of every box."""
    rows: int = Field(default=USUAL.rows, ge=1)
    """Answers that a worker decodes together, of images or of volumes: fewer take less memory and more time."""
    resample: int = Field(default=0, ge=0)
    """Rounds in which other questions are asked in place of those whose answers all earned the same, at most (DAPO's
    dynamic sampling, arXiv 2503.14476, section 3.2, with an end)."""
    reward: Name = "ours"
    """What an answer earns, see `model.learning.rewards`."""
    objective: Objective = "dr_grpo"
    """The loss, see `model.learning.objectives`."""
    denominator: Literal["tokens", "constant"] = "tokens"
    """Of Dr. GRPO alone: the tokens that move, or `max_tokens` for every answer, as in its paper."""
    clip: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    """How far a ratio may go below and above 1; the objective's own range where None, see `objectives.clip_of`."""
    kl: Literal["none", "k3"] = "none"
    """What keeps the policy near the one it began as: nothing, or the importance-corrected k3."""
    kl_beta: float = Field(default=0.01, ge=0)
    """Weight of that KL in the loss, above 0 where there is one."""
    updates: int = Field(default=1, ge=1)
    """Optimiser steps on the answers of a step, each on all of them."""
    rollout: Literal["local", "pool"] = "local"
    """Answers from this process's engine, or from a pool of engines of its own for each worker, whose arithmetic may
    differ: their tokens are then weighted by truncated importance sampling."""
    engines: int = Field(default=1, ge=1)
    """Engines in a worker's pool; a GPU each where `gpu` is set."""
    tis_cap: float = Field(default=2.0, ge=1)
    """What a token from a pool counts at most."""
    lr: float = Field(default=1e-5, gt=0)
    """Constant after ten steps. A real 7B model wants 1e-6."""
    save_every: int = Field(default=20, ge=1)
    show_every: int = Field(default=20, ge=0)
    """Steps between pictures of completions; 0 for none."""
    alarms: AlarmConfig = AlarmConfig()

    @property
    def figures(self) -> tuple[str, ...]:
        """Those of every update, and of one with a KL or a pool."""
        return (*FIGURES, *["kl_reference"] * (self.kl != "none"), *["ess"] * (self.rollout == "pool"))

    @property
    def clipped(self) -> Clip:
        return clip_of(self.objective) if self.clip is None else Clip(*self.clip)

    def sampling(self, seed: int = 0) -> Sampling:
        """How the answers of a step are drawn."""
        return Sampling(
            temperature=1.0,
            max_tokens=self.max_tokens,
            max_boxes=self.max_boxes,
            max_slices=self.max_slices,
            seed=seed,
            rows=self.rows,
        )

    @field_validator("volumes")
    @classmethod
    def _a_step_asks(cls, volumes: int, told: ValidationInfo) -> int:
        if volumes + told.data.get("images", 1) == 0:
            raise ValueError("1 or more where images is 0 too: a step asks at least one question")
        return volumes

    @model_validator(mode="after")
    def _engines_know_the_weights(self) -> Self:
        if self.rollout == "pool" and (self.tune, self.parallel) != ("full", "ddp"):
            raise ValueError(f"rollout pool with tune {self.tune}, parallel {self.parallel}: wants full and ddp")
        return self

    @model_validator(mode="after")
    def _nothing_is_said_in_vain(self) -> Self:
        if self.denominator == "constant" and self.objective != "dr_grpo":
            raise ValueError(f"denominator constant with objective {self.objective}: take dr_grpo, or leave it out")
        if self.kl == "k3" and not self.kl_beta:
            raise ValueError("kl k3 with kl_beta 0: it would weigh nothing, set kl_beta above 0 or kl none")
        for name, field, idle, wanted in (
            ("kl_beta", "kl", "none", "k3"),
            ("tis_cap", "rollout", "local", "pool"),
            ("engines", "rollout", "local", "pool"),
        ):
            if getattr(self, field) == idle and getattr(self, name) != self._usual(name):
                raise ValueError(
                    f"{name} with {field} {idle}: it does nothing there, set {field} {wanted} or leave it out"
                )
        return self
