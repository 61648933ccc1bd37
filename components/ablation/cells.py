"""What the ablations compare: cells, each a training that differs from the whole method in what it names.

`params.yaml` beside this file lists them, and what of them depends on it is told in `dvc.yaml`: changing a cell runs
that cell again and no other.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from components.evaluation.report import COMPARED
from model.interface.errors import BadInput

FILE = Path("components/ablation/params.yaml")
RESULTS = Path("results/ablation")
MIXTURES = {"joint": "2D + 3D", "2d": "2D alone", "3d": "3D alone", "matched": "2D + 3D, as few as 3D alone"}
SAMPLED = "sampled_accuracy"
CROPS = {
    "native": "native crops",
    "model": "crops of model space",
    "none": "no crops",
    "elsewhere": "crops of another place",
}


class Cell(BaseModel):
    """A training of the method; each field's default is the whole method's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mixture: Literal["joint", "2d", "3d", "matched"] = "joint"
    """Images and volumes of the same heads; images alone; volumes alone; both, but only as many studies as there are
    volumes. Every mixture takes as many steps, as far as whole studies a step allow (22 to 24 an epoch of the embedded
    data), so that 2d and 3d see their studies as often as joint does."""
    volumes: int | None = Field(default=None, ge=1)
    """Heads whose volumes are trained on; all where None. Images are of all heads."""
    grounded: bool = True
    """The teacher points at what it speaks of. Without, it says the same in words."""
    crops: Literal["native", "model", "none", "elsewhere"] = "native"
    """What a box is answered with, in training and when asked: the source voxels there, model space as in the paper,
    nothing, or the source voxels of an equal box at another place."""
    after: str = ""
    """The cell whose checkpoint this one goes on from by RL; "" of supervised training."""
    reward: Literal["ours", "ours+iou"] = "ours"
    """Of RL: outcome alone, or with the boxes' IoU."""

    @model_validator(mode="after")
    def _only_boxes_bring_crops(self) -> "Cell":
        if not self.grounded and self.crops != "none":
            raise ValueError(f"grounded is false and crops are {self.crops!r}: without boxes there are none")
        return self

    @model_validator(mode="after")
    def _everything_told_does_something(self) -> "Cell":
        if self.volumes and self.mixture == "2d":
            raise ValueError(f"volumes is {self.volumes} and mixture '2d': no volume is trained on")
        if self.reward != "ours" and not self.after:
            raise ValueError(f"reward is {self.reward!r} and after is missing: only RL has a reward")
        return self

    @property
    def contract_changes(self) -> dict[str, Any]:
        return {"none": {"crop_slices": 0}, "native": {}}.get(self.crops, {"crop_source": self.crops})

    def title(self) -> str:
        """As it is told to people."""
        by = {"ours": "RL", "ours+iou": "RL with IoU"}[self.reward]
        stage = f"{by} from {self.after}" if self.after else "SFT"
        few = f" ({self.volumes} volumes)" if self.volumes else ""
        return f"{stage}: {MIXTURES[self.mixture]}{few}, " + (
            f"grounded, {CROPS[self.crops]}" if self.grounded else "ungrounded"
        )


class Training(BaseModel):
    """How long a cell is trained and how it is asked; the same for all.

    The budget is three hours of two cores, 21,600 core-seconds, for ten supervised cells and three of RL, five seeds
    each. Measured on two AMD EPYC cores, a thread beside another cell's, seconds of seed 4: joint 418, only-2d 226,
    only-3d 199, matched 147, few-volumes 308, few-volumes-only-3d 117, ungrounded 297, no-crops 344, other-crops 387,
    model-crops 382, those of RL 375, 431 and 369. Five times their sum are 20,000: two hours and 47 minutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: int = Field(default=100, ge=2)
    """Heads that are trained on, drawn by the seed: seeds differ in what they see as well as in its order."""
    epochs: int = Field(default=4, ge=1)
    studies: int = Field(default=24, ge=1)
    """A step of the joint mixture; the others take their share of it."""
    lr: float = Field(default=1e-3, gt=0)
    max_tokens: int = Field(default=160, ge=8)
    """Sampled tokens an answer of the evaluation may have."""
    draws: int = Field(default=2000, ge=100)
    """Bootstrap resamples of a cell's own intervals."""


class Reinforcement(BaseModel):
    """RL of the cells that go on from another; the same for all, and nothing to those that don't."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heads: int = Field(default=100, ge=1)
    """Heads it asks about, none of those that supervised training saw."""
    steps: int = Field(default=40, ge=1)
    lr: float = Field(default=1e-5, gt=0)
    images: int = Field(default=6, ge=0)
    """Questions about images a step."""
    volumes: int = Field(default=2, ge=0)
    group: int = Field(default=8, ge=2)
    """Answers to each of them."""


class Claim(BaseModel):
    """That one cell is better than another in something, or no worse."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: str
    """A sentence."""
    better: str
    than: str
    metric: str
    """Of `evaluation.metrics`, one whose count depends on the question alone."""
    dimension: Literal["2d", "3d"]
    within: float | None = Field(default=None, gt=0)
    """The claim is that `better` is no worse than `than` by more than this, in the metric's own unit; None of a claim
    that it is better."""

    @model_validator(mode="after")
    def _pairs_up(self) -> "Claim":
        if self.metric not in COMPARED:
            raise ValueError(f"metric is {self.metric!r}, wanted one of {', '.join(COMPARED)}")
        if self.better == self.than:
            raise ValueError(f"better and than are both {self.better!r}: wanted two cells")
        return self


class Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    training: Training = Training()
    rl: Reinforcement = Reinforcement()
    cells: dict[str, Cell]
    claims: tuple[Claim, ...] = ()

    @field_validator("seeds")
    @classmethod
    def _seeds_are_some_and_others(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("one or more, each once, from 0")
        return seeds

    @model_validator(mode="after")
    def _named_cells_exist(self) -> "Plan":
        named = {cell.after for cell in self.cells.values() if cell.after}
        named |= {name for claim in self.claims for name in (claim.better, claim.than)}
        if unknown := sorted(named - set(self.cells)):
            raise ValueError(f"cell {unknown[0]!r} is named and not there, known: {', '.join(self.cells)}")
        for name, cell in self.cells.items():
            if cell.after and self.cells[cell.after].after:
                raise ValueError(f"cell {name!r} goes on from {cell.after!r}, which is RL's: wanted a supervised one")
        return self

    @model_validator(mode="after")
    def _a_claim_is_made_once(self) -> "Plan":
        made = [(claim.claim, claim.metric, claim.dimension) for claim in self.claims]
        if twice := [told for told in made if made.count(told) > 1]:
            raise ValueError(f"claim {twice[0][0]!r} of {twice[0][1]} in {twice[0][2]} stands twice: wanted once")
        return self

    @model_validator(mode="after")
    def _sampled_answers_are_there(self) -> "Plan":
        for claim in self.claims:
            for name in (claim.better, claim.than):
                if claim.metric == SAMPLED and not self.near_rl(name):
                    raise ValueError(
                        f"{claim.claim!r} is of {SAMPLED}, which {name!r} doesn't have: only RL's cells do"
                    )
        return self

    def told(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What decides how a cell is trained: its own settings, and the lengths it shares with others."""
        cell = self.cells[name]
        of_rl = {"rl": self.rl.model_dump(mode="json")} if cell.after else {}
        return cell.model_dump(mode="json"), self.training.model_dump(mode="json") | of_rl

    def goes_on(self, name: str) -> bool:
        """Some cell of RL goes on from this one."""
        return any(other.after == name for other in self.cells.values())

    def near_rl(self, name: str) -> bool:
        """It is asked by sampling too: what RL makes likelier, greedy answers need not show."""
        return bool(self.cells[name].after) or self.goes_on(name)


def plan(file: Path = FILE) -> Plan:
    """Raises BadInput, which names the key."""
    try:
        return Plan.model_validate(yaml.safe_load(file.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        key, wanted = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        where = f"{file.name}, {key or 'cells'}: found {str(first['input'])[:80]}, wanted {wanted}"
        raise BadInput("the ablations can't be planned", where=where, next=f"mend {file.name}") from error


def cell_of(planned: Plan, name: str) -> Cell:
    """Raises BadInput for a cell that isn't there."""
    if name not in planned.cells:
        where = f"{FILE.name}, cells: found {name!r}, wanted one of {', '.join(planned.cells)}"
        raise BadInput("no such cell", where=where, next="name one of these")
    return planned.cells[name]
