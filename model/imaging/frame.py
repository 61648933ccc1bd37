"""The frame: the invertible map between source voxels, model space and millimetres.

Model space is what the model sees: x to the right, y down, z the slice. With a known frame the
display is radiological: the patient's right is at the left of an axial or coronal picture, anterior is
up (at the left of a sagittal one), superior is up, slices ascend. A volume is shown along the contract's plane.
Coordinates are edges, as in `Box`: voxel i covers [i, i + 1), on every grid.
"""

from dataclasses import dataclass
from itertools import product
from math import floor

import numpy as np

from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract

Span = tuple[float, float]

SHOWN: dict[str, tuple[tuple[int, int, int], tuple[bool, bool, bool]]] = {
    "axial": ((0, 1, 2), (True, True, False)),  # R -> L, A -> P, I -> S
    "coronal": ((0, 2, 1), (True, True, False)),  # R -> L, S -> I
    "sagittal": ((1, 2, 0), (True, True, False)),  # A -> P, S -> I
    "image": ((0, 1, 2), (False, False, False)),
}
"""By plane: the source axis behind each axis of model space, and whether it is read backwards."""

LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI", "image": ""}
"""By plane: what stands at the left, right, top and bottom of the picture."""


@dataclass(frozen=True, slots=True)
class Frame:
    source: tuple[int, int, int]
    """Shape of the source (x, y, z), voxels."""
    shape: tuple[int, int, int]
    """Shape of model space (x, y, z), pixels and slices."""
    plane: str
    """How it is displayed, a key of `SHOWN`."""
    affine: tuple[tuple[float, ...], ...] | None
    """4 x 4, source index (voxel centre) to mm, RAS+; None when left and right or the spacing are unknown."""
    covered: Span | None = None
    """First and last edge of the source slices that are shown, along the axis they are counted on; None for all."""

    def to_model(self, box: Box) -> Box:
        """Source box -> whole pixels and slices, clipped into model space, at least 1 wide."""
        edges = []
        for m, ((axis, flipped), shape) in enumerate(zip(_axes(self.plane), self.shape, strict=True)):
            first, last = self._reach(m)
            scale = shape / (last - first)
            low, high = (box.low[axis] - first) * scale, (box.high[axis] - first) * scale
            edges.append(_whole(shape - high, shape - low, shape) if flipped else _whole(low, high, shape))
        (x1, x2), (y1, y2), (z1, z2) = edges
        return Box((x1, y1, z1), (x2, y2, z2))

    def to_source(self, box: Box) -> Box:
        """Model box -> source voxels, not rounded."""
        spans = [(min(span), max(span)) for span in self.spans(box)]
        (x1, x2), (y1, y2), (z1, z2) = spans
        return Box((x1, y1, z1), (x2, y2, z2))

    def to_mm(self, box: Box) -> tuple[float, float, float, float, float, float] | None:
        """Model box -> (x1, y1, z1, x2, y2, z2) in mm, RAS+; None where that can't be known.

        Of an oblique scan: the smallest upright box around the eight corners.
        """
        if self.affine is None:
            return None
        source, affine = self.to_source(box), np.asarray(self.affine)
        corners = np.array(list(product(*zip(source.low, source.high, strict=True)))) - 0.5
        mm = corners @ affine[:3, :3].T + affine[:3, 3]
        x1, y1, z1, x2, y2, z2 = (float(n) for n in (*mm.min(axis=0), *mm.max(axis=0)))
        return x1, y1, z1, x2, y2, z2

    def spans(self, box: Box) -> tuple[Span, Span, Span]:
        """What a model box covers, an interval for each *source* axis, backwards where the display flips."""
        spans: list[Span] = [(0, 0)] * 3
        for m, (axis, flipped) in enumerate(_axes(self.plane)):
            first, last = self._reach(m)
            scale = (last - first) / self.shape[m]
            low, high = box.low[m] * scale, box.high[m] * scale
            spans[axis] = (last - low, last - high) if flipped else (first + low, first + high)
        return spans[0], spans[1], spans[2]

    def _reach(self, m: int) -> Span:
        """Edges of the source that axis m of model space covers."""
        if m == 2 and self.covered:
            return self.covered
        return 0, self.source[SHOWN[self.plane][0][m]]

    def as_source(self, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
        """Put numbers given along model axes in the order of the source axes."""
        ordered = [0, 0, 0]
        for size, (axis, _) in zip(sizes, _axes(self.plane), strict=True):
            ordered[axis] = size
        return ordered[0], ordered[1], ordered[2]

    def displayed(self, array: np.ndarray) -> np.ndarray:
        """(x, y, z, …) along source axes -> (slice, row, column, …) as shown; spans have done the flips."""
        return array.transpose(*SHOWN[self.plane][0][::-1], *range(3, array.ndim))


def frame_of(volume: Volume, contract: Contract, covered: Span | None = None) -> Frame:
    """How this volume is shown under this contract. covered: see `Frame.covered`."""
    plane = plane_of(volume, contract)
    if volume.dimension == 3:
        shape = (contract.volume_side, contract.volume_side, contract.slices)
    else:
        across, down, _ = SHOWN[plane][0]
        width_mm, height_mm = (volume.shape[axis] * volume.spacing_mm[axis] for axis in (across, down))
        shape = (*fitted(width_mm, height_mm, contract.image_side, contract.factor), 1)
    known = volume.frame_known and volume.spacing_known
    affine = tuple(tuple(float(n) for n in line) for line in volume.affine) if known else None
    return Frame(volume.shape, shape, plane, affine, covered)


def plane_of(volume: Volume, contract: Contract) -> str:
    """A single slice is shown as what it is, and so is a volume whose axes nobody knows."""
    if volume.dimension == 2 or not volume.frame_known:
        return volume.plane
    if contract.plane != "acquired":
        return contract.plane
    widest = int(np.argmax(np.round(volume.spacing_mm, 3)[::-1]))  # axial where all are alike
    return ("axial", "coronal", "sagittal")[widest]


def fitted(width: float, height: float, side: int, factor: int) -> tuple[int, int]:
    """(columns, rows) with the longest `side`, the other by aspect, both whole multiples of factor, at least one."""
    scale = side / max(width, height) / factor
    columns, rows = (max(1, floor(n * scale + 0.5)) * factor for n in (width, height))
    return columns, rows


def _axes(plane: str) -> list[tuple[int, bool]]:
    return list(zip(*SHOWN[plane], strict=True))


def _whole(low: float, high: float, size: int) -> Span:
    """Round two edges to whole ones inside [0, size], at least 1 apart."""
    a, b = (min(max(floor(n + 0.5), 0), size) for n in (low, high))
    if a < b:
        return a, b
    a = min(max(floor((low + high) / 2), 0), size - 1)
    return a, a + 1
