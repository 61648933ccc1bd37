"""The contract: how pixels became tokens. Saved in the checkpoint folder, enforced at load.

Two checkpoints with one contract digest see the same study as the same numbers. Defaults are the
embedded tiny model's; the paper's geometry (arXiv 2606.11740; 252 px, 32 slices, factor 28) is
`Contract(patch=14, image_side=252, volume_side=252, …)`.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FILE = "contract.json"
WINDOWS: dict[str, tuple[float, float]] = {
    "brain": (40, 80),
    "subdural": (75, 200),
    "stroke": (40, 40),
    "bone": (400, 1800),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "abdomen": (40, 400),
    "liver": (30, 150),
}
"""(level, width) in Hounsfield units, as radiology teaching sets them (radiopaedia.org, "Windowing (CT)")."""


LARGEST_HU = 1e5
OVERRIDABLE = ("ct_windows", "mr_percentiles", "plane", "coverage")
"""What may be shown otherwise than in training, when it is asked for by name. The rest decides what tokens mean."""


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
    plane: Literal["axial", "coronal", "sagittal", "acquired"] = "axial"
    """Along which slices a volume is shown; "acquired": those across its widest voxel spacing."""
    coverage: Literal["whole", "foreground"] = "whole"
    """The slices are spread over all of a volume, or over the part of it that holds anything."""
    mr_percentiles: tuple[float, float] = (1.0, 99.5)
    """Window of whatever is not a CT, inside its foreground, percent."""
    ct_windows: tuple[str | tuple[float, float], ...] = ((40.0, 90.0),)
    """Of a CT: names of `WINDOWS` or (level, width), Hounsfield units; three of them for channels "windows"."""
    channels: Literal["place", "grey", "colour", "windows"] = "place"
    """What red, green and blue carry. "place": grey, then each pixel's column and row, 0 to 255 over the picture
    (CoordConv, arXiv 1807.03247); rotary positions are relative, so a tower trained from nothing can't tell where in
    the picture a patch is. "grey": grey three times, as in the paper. "colour": a colour picture's own, else grey.
    "windows": a CT through three windows, else grey. Colours that aren't carried are shown by their luminance."""
    crop_source: Literal["native", "model", "elsewhere"] = "native"
    """Crops come from the source voxels, or from model space as in the paper. "elsewhere": from the source voxels of an
    equal box at another place, which tells audits and ablations what a crop's content is worth."""
    crop_side: int = Field(default=32, ge=16)
    """Longest side of a crop as the model sees it, px."""
    crop_slices: int = Field(default=4, ge=0)
    """Most slices of one cuboid that are injected, evenly spread; the paper injects all. 0: a box brings no crops, of
    an image neither."""
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

    @model_validator(mode="after")
    def _percentiles_ascend(self) -> Self:
        low, high = self.mr_percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"mr_percentiles {low:g} and {high:g}, expected 0 <= low < high <= 100")
        return self

    @model_validator(mode="after")
    def _windows_are_known_and_enough(self) -> Self:
        for window in self.ct_windows:
            if isinstance(window, str) and window not in WINDOWS:
                raise ValueError(f"unknown window {window!r}, known: {', '.join(WINDOWS)}")
            if not isinstance(window, str) and not (abs(window[0]) <= LARGEST_HU and 1 <= window[1] <= LARGEST_HU):
                told = f"level {window[0]:g}, width {window[1]:g}"
                raise ValueError(f"window of {told}, expected a level and a width from 1, up to {LARGEST_HU:g} HU")
        wanted = 3 if self.channels == "windows" else 1
        if len(self.ct_windows) != wanted:
            raise ValueError(f"{len(self.ct_windows)} ct_windows, expected {wanted} for channels {self.channels!r}")
        return self

    @property
    def ct_windows_hu(self) -> tuple[tuple[float, float], ...]:
        """(level, width) of each."""
        return tuple(WINDOWS[window] if isinstance(window, str) else window for window in self.ct_windows)

    def overridden(self, changes: Sequence[str]) -> "Contract":
        """The same with fields of `OVERRIDABLE` changed; raises ValueError, also of values that make no contract.

        changes: "plane=coronal", "mr_percentiles=0,100", "ct_windows=lung" or "ct_windows=40/80" (level/width).
        """
        told: dict[str, Any] = {}
        for change in changes:
            name, _, value = change.partition("=")
            if name not in OVERRIDABLE:
                raise ValueError(f"{name!r} can't be overridden, only {', '.join(OVERRIDABLE)}")
            parts = value.split(",")
            if name == "ct_windows":
                told[name] = [part.split("/") if "/" in part else part for part in parts]
            else:
                told[name] = parts if name == "mr_percentiles" else value
        return Contract.model_validate(self.model_dump() | told)

    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def save(self, folder: Path) -> None:
        (folder / FILE).write_text(self.model_dump_json(indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Contract":
        row = json.loads((folder / FILE).read_text())
        return cls.model_validate(_renamed(row) if isinstance(row, dict) else row)


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """What older contracts called otherwise; before there was a choice of channels, towers were shown grey."""
    if "channels" in row:
        return row
    place, window = row.get("place_channels", False), row.get("ct_window_hu", (40.0, 90.0))
    kept = {key: value for key, value in row.items() if key not in ("place_channels", "ct_window_hu")}
    return kept | {"channels": "place" if place else "grey", "ct_windows": [window]}
