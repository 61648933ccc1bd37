"""The contract: how pixels became tokens. Saved in the checkpoint folder, enforced at load.

Two checkpoints with one contract digest see the same study as the same numbers. Defaults are the
embedded tiny model's; the paper's geometry (arXiv 2606.11740; 252 px, 32 slices, factor 28) is
`Contract(patch=14, image_side=252, volume_side=252, …)`.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = "contract.json"


class Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    patch: int = Field(default=8, ge=2)
    """Side of a vision patch, px."""
    merge: int = Field(default=2, ge=1)
    """Patches a side that become one token."""
    image_side: int = Field(default=96, ge=16)
    """Longest side of a 2D image in model space, px; the other follows the aspect in mm."""
    volume_side: int = Field(default=64, ge=16)
    """Both sides of a slice of a volume in model space, px."""
    slices: int = Field(default=32, ge=2)
    """Slices a volume is serialised to, inferior to superior."""
    slice_labels: bool = True
    """Write each slice's index before its picture. The paper doesn't; a tiny model needs it."""
    mr_percentiles: tuple[float, float] = (1.0, 99.5)
    """Window of an MR, or of an unknown modality, inside its foreground, percent."""
    ct_window_hu: tuple[float, float] = (40.0, 90.0)
    """(level, width) of a CT, Hounsfield units."""
    place_channels: bool = True
    """Green and blue carry each pixel's column and row, 0 to 255 over the picture (CoordConv, arXiv 1807.03247);
    without it all three channels are grey, as in the paper. Rotary positions are relative: a tower trained from
    nothing can't tell where in the picture a patch is."""
    crop_source: Literal["native", "model"] = "native"
    """Crops come from the source voxels, or from model space as in the paper."""
    crop_side: int = Field(default=32, ge=16)
    """Longest side of a crop as the model sees it, px."""
    crop_slices: int = Field(default=4, ge=1)
    """Most slices of one cuboid that are injected, evenly spread; the paper injects all."""
    think: Literal["special"] = "special"
    """<think> and </think> are special tokens."""

    @property
    def factor(self) -> int:
        """Pixels a side of one visual token; model-space sides are its multiples."""
        return self.patch * self.merge

    @model_validator(mode="after")
    def _sides_are_whole_tokens(self) -> Self:
        for name in ("image_side", "volume_side", "crop_side"):
            if getattr(self, name) % self.factor:
                raise ValueError(f"{name} {getattr(self, name)} is not a multiple of {self.factor} (patch x merge)")
        return self

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Contract":
        row = json.loads((folder / FILE).read_text())
        # written before there was a choice: those towers were shown grey
        return cls.model_validate({"place_channels": False} | row if isinstance(row, dict) else row)
