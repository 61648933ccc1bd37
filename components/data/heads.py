"""A head: a subject's labels, warped once onto a grid, mirrored half of the time with its names swapped."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage as ndi

from components.data.anatomy import SPACING_MM, Subject
from components.data.labels import ID, SWAP
from components.data.morphology import stretched

BRAIN_MARGIN_MM = 4.0
"""How far the middle of the field of view may be from the middle of the brain, along each axis."""
ELASTIC_MM = 2.5
"""Standard deviation of the elastic field's knots."""


@dataclass(frozen=True, slots=True)
class Grid:
    shape: tuple[int, int, int]
    """(x, y, z), voxels."""
    field_mm: tuple[float, float, float]
    """Field of view along (x, y, z)."""

    @property
    def spacing_mm(self) -> np.ndarray:
        return np.array(self.field_mm) / np.array(self.shape)

    @property
    def affine(self) -> np.ndarray:
        """Voxel index to mm, RAS+; the middle of the grid is the origin."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = -(np.array(self.shape) - 1) / 2 * self.spacing_mm
        return affine


def warp(random: np.random.Generator, subject: Subject, grid: Grid) -> tuple[np.ndarray, bool]:
    """Affine, elastic and mirror in one nearest-neighbour sampling -> labels uint8 (x, y, z) RAS+, mirrored?"""
    matrix = _affine(random)
    mirrored = bool(random.random() < 0.5)
    if mirrored:
        matrix = matrix @ np.diag([-1, 1, 1])
    labels = subject.labels
    brain = (labels > 0) & (labels <= ID["corpus callosum"])
    extent = ndi.find_objects(brain.view(np.uint8))[0]  # centre on the brain, not on the head
    middle = np.array([(s.start + s.stop - 1) / 2 for s in extent])
    middle += random.uniform(-BRAIN_MARGIN_MM, BRAIN_MARGIN_MM, 3) / SPACING_MM
    spans = zip(grid.shape, grid.spacing_mm, strict=True)
    x, y, z = np.meshgrid(
        *[((np.arange(n) - (n - 1) / 2) * mm).astype(np.float32) for n, mm in spans], indexing="ij", sparse=True
    )
    index = []
    for k, (a, size) in enumerate(zip(matrix.astype(np.float32), labels.shape, strict=True)):
        place_mm = a[0] * x + a[1] * y + a[2] * z + smooth_field(random, grid.shape, 5, ELASTIC_MM)
        place_mm /= SPACING_MM
        place_mm += middle[k] + 0.5
        index.append(np.clip(place_mm, 0, size - 1).astype(np.intp))
    warped = labels[tuple(index)]
    return (SWAP[warped] if mirrored else warped), mirrored


def smooth_field(random: np.random.Generator, shape: tuple[int, int, int], knots: int, amplitude: float) -> np.ndarray:
    """Normal values at knots³, up-sampled by cubic splines: float32 of `shape`."""
    field = random.normal(0, amplitude, (knots,) * 3).astype(np.float32)
    for axis, n in enumerate(shape):
        field = np.moveaxis(np.tensordot(_spline(n, knots), field, (1, axis)), 0, axis)
    return field


@lru_cache(maxsize=64)
def _spline(n: int, knots: int) -> np.ndarray:
    """n x knots cubic up-sampling matrix; separable, so a field costs three small products."""
    return np.stack([stretched(e, n / knots, order=3) for e in np.eye(knots)], 1).astype(np.float32)


def _affine(random: np.random.Generator) -> np.ndarray:
    """Rotation within 8 degrees, shear within 0.04, scale within 8 %: a 3 x 3 matrix."""
    angle = np.deg2rad(random.uniform(-8, 8, 3))
    c, s = np.cos(angle), np.sin(angle)
    rx = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    ry = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    rz = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    shear = np.eye(3) + np.triu(random.uniform(-0.04, 0.04, (3, 3)), 1)
    return rx @ ry @ rz @ shear @ np.diag(random.uniform(0.92, 1.08, 3))
