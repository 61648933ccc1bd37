"""What one study shows, measured once from its masks: boxes, pieces, centres, sizes, what a lesion lies in.

A study is a volume, or one slice of it. All places are source voxels (x, y, z) of the stored study: RAS+, or the
picture's own axes where its frame is unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from components.data.sources.case import Outline
from components.data.sources.ontology import Entry, entry
from model.imaging.volume import SLICE_AXIS, Volume
from model.interface.boxes import Box

LEAST = {"structure": 30, "lesion": 12}
"""Voxels under which a thing is not asked about."""
NARROWEST = 3
"""Shortest side of its box, voxels."""
HOST_SHARE = 0.7
"""Of a lesion: the part that must lie in one structure for that to be its host."""
IN_VIEW = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2), "image": (0, 1)}
"""Axes of a slice."""
TOGETHER = np.ones((3, 3, 3))
"""Voxels that share a corner are one piece."""


@dataclass(frozen=True, eq=False, slots=True)
class Thing:
    """A structure or lesion as this study shows it."""

    entry: Entry
    box: Box
    """Half open."""
    centre: tuple[float, float, float]
    """Of mass, on the scale where voxel i covers [i, i + 1)."""
    size: float
    """mm³ of a volume, mm² of a slice; voxels where the spacing is unknown."""
    pieces: int
    """0 where there are stray ones too small to be told from noise."""
    cut: bool
    """It reaches the border of what was imaged, so there may be more of it."""
    host: str = ""
    """Of a lesion: the one structure it lies in, "" where that is in doubt."""
    outside: frozenset[str] = frozenset()
    """Of a lesion: structures whose boxes are clear of its own."""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def is_lesion(self) -> bool:
        return self.entry.kind == "lesion"


@dataclass(frozen=True, eq=False)
class Sight:
    """What is to be known of a study without looking at its pixels again."""

    study: str
    subject: str
    group: str
    """The case it was cut from."""
    split: str
    licence: str
    provenance: str
    dimension: int
    plane: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    spacing_known: bool
    sides: bool
    """Left and right are the patient's."""
    contrast: str
    things: tuple[Thing, ...]
    absent: tuple[str, ...]
    """Names that would have been outlined and of which nothing is here."""
    lesions_told: bool
    """Every lesion that may be here is among the things."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Those one can see along."""
        return (0, 1, 2) if self.dimension == 3 else IN_VIEW[self.plane]

    @property
    def structures(self) -> list[Thing]:
        return [thing for thing in self.things if not thing.is_lesion]

    @property
    def lesions(self) -> list[Thing]:
        return [thing for thing in self.things if thing.is_lesion]

    @property
    def shows_sides(self) -> bool:
        """Left and right are the patient's, and can be told apart by looking: not in a sagittal slice."""
        return self.sides and 0 in self.axes

    def named(self, name: str) -> Thing | None:
        return next((thing for thing in self.things if thing.name == name), None)


def things(outlines: Sequence[Outline], volume: Volume) -> list[Thing]:
    """Those large enough to be asked about, in the order of their outlines.

    outlines: in the volume's voxels; of a slice, already cut to it.
    """
    axes = IN_VIEW[volume.plane] if volume.dimension == 2 else (0, 1, 2)
    spacing = np.array(volume.spacing_mm if volume.spacing_known else (1.0, 1.0, 1.0))
    unit = float(np.prod(spacing[list(axes)]))
    kinds = [entry(outline.name) for outline in outlines]
    structures = [o for o, kind in zip(outlines, kinds, strict=True) if kind.kind != "lesion"]
    found = []
    for outline, kind in zip(outlines, kinds, strict=True):
        count = int(np.count_nonzero(outline.inside))
        sides = [outline.inside.shape[axis] for axis in axes]
        if count < LEAST[kind.kind] or min(sides) < NARROWEST:
            continue
        box = outline.box
        cut = any(box.low[axis] == 0 or box.high[axis] == volume.shape[axis] for axis in axes)
        host, outside = _hosts(outline, count, structures) if kind.kind == "lesion" else ("", frozenset())
        centre = _centre(outline, count)
        pieces = _pieces(outline, kind.kind)
        found.append(Thing(kind, box, centre, count * unit, pieces, cut, host, outside))
    return found


def cut(outlines: Iterable[Outline], axis: int, at: int) -> list[Outline]:
    """What slice `at` across an axis shows of them, on the slice's own grid (its axis is of length 1)."""
    shown = []
    for outline in outlines:
        k = at - outline.low[axis]
        if 0 <= k < outline.inside.shape[axis]:
            found = Outline.of(outline.name, np.take(outline.inside, [k], axis))
            if found:
                x, y, z = (n if a == axis else n + outline.low[a] for a, n in enumerate(found.low))
                shown.append(Outline(found.name, (x, y, z), found.inside))
    return shown


def slice_of(volume: Volume, plane: str, at: int) -> Volume:
    """One slice as a study of its own; voxel 0 of its axis is slice `at`."""
    axis = SLICE_AXIS[plane]
    kept = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * at
    voxels = np.ascontiguousarray(volume.voxels[kept])
    return Volume(voxels, affine, volume.modality, volume.frame_known, plane, spacing_known=volume.spacing_known)


def overlap(a: Outline, b: Outline) -> int:
    """Voxels of both."""
    low = np.maximum(a.low, b.low)
    high = np.minimum(np.add(a.low, a.inside.shape), np.add(b.low, b.inside.shape))
    if (low >= high).any():
        return 0
    ours, theirs = (
        o.inside[tuple(slice(*span) for span in zip(low - o.low, high - o.low, strict=True))] for o in (a, b)
    )
    return int(np.count_nonzero(ours & theirs))


def _hosts(lesion: Outline, count: int, structures: Sequence[Outline]) -> tuple[str, frozenset[str]]:
    """(the structure most of it lies in, those it is clear of)."""
    shared = {o.name: overlap(lesion, o) for o in structures}
    ordered = sorted(shared, key=lambda name: -shared[name])
    inside = [name for name in ordered if shared[name] >= HOST_SHARE * count]
    # outlines may overlap: what lies partly in another too has no host
    partly = [name for name in ordered if shared[name] > (1 - HOST_SHARE) * count]
    host = inside[0] if inside == partly and len(inside) == 1 else ""
    return host, frozenset(o.name for o in structures if _far(lesion, o))


def _far(a: Outline, b: Outline) -> bool:
    """Their boxes don't even touch: what lies in a hole of another isn't outside of it."""
    return any(x > d or y < c for x, y, c, d in zip(a.box.low, a.box.high, b.box.low, b.box.high, strict=True))


def _pieces(outline: Outline, kind: str) -> int:
    labels, n = ndi.label(outline.inside, TOGETHER)  # pyright: ignore[reportGeneralTypeIssues]
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    return int(n) if n == 1 or (sizes >= LEAST[kind]).all() else 0


def _centre(outline: Outline, count: int) -> tuple[float, float, float]:
    middle = []
    for axis, first in enumerate(outline.low):
        line = np.count_nonzero(outline.inside, axis=tuple(a for a in range(3) if a != axis))
        middle.append(first + float(line @ np.arange(len(line))) / count + 0.5)
    x, y, z = middle
    return x, y, z
