"""What a segmentation set offers to be asked about: cases, and what is outlined in each.

An adapter is a module of this folder with `NAME`, `LICENCE` and `cases(root) -> Iterator[Case]`, see `registry`.
Listing reads no pixels; `Case.open` does. A case travels to other processes, so `open` is a `functools.partial`
of a function of a module.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import ndimage as ndi

from model.imaging.volume import Volume
from model.interface.boxes import Box

Sides = Literal["patient", "image", "unknown"]
"""Whose left and right the volume's axes tell. "patient": its frame is known, the axes are RAS+. "image": those of
the picture as it is shown, nobody knows the patient's. "unknown": neither may be asked about."""


@dataclass(frozen=True, eq=False)
class Outline:
    """One named region; it may be in several pieces, and may overlap others."""

    name: str
    """As `ontology` spells it: "left kidney", "liver tumour"."""
    low: tuple[int, int, int]
    """Voxel of the volume (x, y, z) that is the corner [0, 0, 0] of `inside`."""
    inside: np.ndarray
    """bool (x, y, z), cropped to its extent: every face of it holds a voxel of the region."""

    @classmethod
    def of(cls, name: str, mask: np.ndarray) -> "Outline | None":
        """From a whole mask, bool or 0 and not 0, (x, y, z); None where nothing is inside."""
        inside = np.asarray(mask) != 0
        extent = ndi.find_objects(inside.view(np.uint8))
        return cls._cut(name, inside, extent[0]) if extent else None

    @classmethod
    def _cut(cls, name: str, inside: np.ndarray, extent: tuple[slice, ...]) -> "Outline":
        x, y, z = (side.start for side in extent)
        return cls(name, (x, y, z), np.ascontiguousarray(inside[extent]))

    @property
    def box(self) -> Box:
        """Its extent, voxels of the volume, half open."""
        return Box.of((*self.low, *(low + n for low, n in zip(self.low, self.inside.shape, strict=True))))

    def mask(self, shape: tuple[int, int, int]) -> np.ndarray:
        """bool of `shape` (x, y, z), the volume's."""
        whole = np.zeros(shape, bool)
        whole[tuple(slice(low, low + n) for low, n in zip(self.low, self.inside.shape, strict=True))] = self.inside
        return whole


def outlines_of(labels: np.ndarray, names: Mapping[int, str]) -> tuple[Outline, ...]:
    """Every named value of a label map that occurs in it, in the order of `names`.

    labels: whole numbers from 0 (x, y, z), any type. Values that share a name are one outline. Values without a name
    are left out, `unnamed` tells them; so are those named "".
    """
    whole = labels.astype(np.int32, copy=False)
    extents = dict(_extents(whole))
    values: dict[str, list[int]] = {}
    for value, name in names.items():
        if value in extents and name:
            values.setdefault(name, []).append(value)
    return tuple(_joined(name, whole, {value: extents[value] for value in same}) for name, same in values.items())


def unnamed(labels: np.ndarray, names: Mapping[int, str]) -> tuple[int, ...]:
    """Values other than 0 that occur in a label map and have no name, ascending."""
    return tuple(value for value, _ in _extents(labels.astype(np.int32, copy=False)) if value not in names)


def _extents(whole: np.ndarray) -> Iterator[tuple[int, tuple[slice, ...]]]:
    for value, extent in enumerate(ndi.find_objects(whole), 1):
        if extent is not None:
            yield value, extent


def _joined(name: str, whole: np.ndarray, extents: Mapping[int, tuple[slice, ...]]) -> Outline:
    around = tuple(
        slice(min(a.start for a in axis), max(a.stop for a in axis)) for axis in zip(*extents.values(), strict=True)
    )
    inside = np.isin(whole[around], list(extents)) if len(extents) > 1 else whole[around] == next(iter(extents))
    x, y, z = (side.start for side in around)
    return Outline(name, (x, y, z), inside)


@dataclass(frozen=True, eq=False)
class Labelled:
    """One image with what is outlined in it, on the same grid."""

    volume: Volume
    outlines: tuple[Outline, ...]
    """One a name, every one with a voxel or more."""
    sides: Sides
    warnings: tuple[str, ...] = ()
    """What had to be assumed of image and labels, one sentence each."""
    sought: frozenset[str] = frozenset()
    """Names of all that would be outlined if it were there: what is sought and has no outline is absent. Of any other
    name nothing is known."""
    doubtful: frozenset[str] = frozenset()
    """Names of what may be there without an outline, as a lesion too faint to be asked about."""
    contrast: str = ""
    """"T1", "FLAIR" …, for counts; "" where nobody says more than the modality."""

    def __post_init__(self) -> None:
        if self.sides == "patient" and not self.volume.frame_known:
            raise ValueError("sides are the patient's, but the volume has no frame")
        names = [outline.name for outline in self.outlines]
        if len(set(names)) < len(names) or not self.sought.issuperset(names):
            raise ValueError(f"a name twice in {names}, or outlined but not sought")
        for outline in self.outlines:
            if outline.box.within(self.volume.shape) != outline.box:
                raise ValueError(f"{outline.name}: {outline.box} leaves the volume {self.volume.shape}")


@dataclass(frozen=True)
class Case:
    """An image and its outlines, before a pixel is read."""

    source: str
    """The adapter's NAME."""
    subject: str
    """The person, unique within the source: splits are by subject."""
    study: str
    """Unique within the source."""
    split: str
    """As the set gives it, "train", "val" or "test"; "" where it gives none."""
    licence: str
    files: tuple[Path, ...]
    """What it is read from. That they exist is checked when the case is listed, what they hold when it is opened."""
    open: Callable[[], Labelled]
    """Reads image and labels; raises BadInput."""
    key: bytes = b""
    """What its names are digested with (`cot/studies.py`); whoever plans a build gives it."""
