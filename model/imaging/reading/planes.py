"""Planes of a DICOM series: put in order along their normal, and checked to fill space evenly.

Directions and positions are DICOM's patient frame (LPS+, mm; PS3.3 C.7.6.2.1.1) until `affine_of` turns them
to RAS+. File names and instance numbers decide nothing: they are wrong too often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.imaging.reading.files import refused

PARALLEL = 1e-3
"""Largest difference of two direction cosines that still say the same."""
SAME_PLACE_MM = 1e-2
UNEVEN = 0.01
"""Steps between slices may differ by this share of the usual one."""
MISSING = 1.5
"""A step of this many usual ones, in a stack that is even otherwise, is a gap."""
MOSTLY = 0.7
"""Share of steps that must be the usual one for a stack to be even otherwise."""
FEW = 10
"""One slice of this many may be there twice, two at least."""
OFF_LINE = 0.25
"""Pixels that a slice may lie beside the line from the first slice to the last."""
TILT_DEGREES = 0.5
STEEPEST = 45
"""Degrees of tilt that no gantry has."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Plane:
    """Where one picture lies in the patient."""

    file: int
    """Which of the series' files holds it."""
    frame: int
    """Which of that file's frames it is."""
    position: np.ndarray
    """(3,) centre of the first pixel, mm."""
    across: np.ndarray
    """(3,) unit vector along a row: as columns ascend."""
    down: np.ndarray
    """(3,) unit vector along a column: as rows ascend."""
    pitch: tuple[float, float]
    """(between columns, between rows), mm."""
    thickness: float
    """Of the slice, mm; 0 when nobody said."""

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.across, self.down)


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes in order, and where they lie."""

    planes: tuple[Plane, ...]
    at: np.ndarray
    """(n,) place of each along the normal, mm, ascending."""
    step: float
    """Usual distance between neighbours, mm."""
    even: bool
    """All steps are the usual one; if not, the voxels must be resampled at equal steps."""
    warnings: tuple[str, ...]


def stacked(path: Path, planes: Sequence[Plane]) -> Stack:
    """Planes of one series in order; raises BadInput where they make no volume, naming why."""
    first = planes[0]
    for plane in planes:
        if np.abs(np.stack([plane.across - first.across, plane.down - first.down])).max() > PARALLEL:
            raise _mixed(path, "ImageOrientationPatient", "slices of several directions", "parallel slices")
        if not np.allclose(plane.pitch, first.pitch, rtol=1e-3):
            raise _mixed(path, "PixelSpacing", "several pixel spacings", "one")
    places = np.array([plane.position @ first.normal for plane in planes])
    order = np.argsort(places, kind="stable")
    ordered, places = [planes[k] for k in order], places[order]
    keep = np.concatenate([[True], np.diff(places) > SAME_PLACE_MM])
    _check_side_by_side(path, ordered, keep)
    warnings = _repeated(path, len(places), int(keep.sum()))
    ordered, places = [plane for plane, kept in zip(ordered, keep, strict=True) if kept], places[keep]
    if len(ordered) == 1:
        return Stack(tuple(ordered), places, first.thickness or 1.0, True, tuple(warnings))
    _check_in_line(path, ordered, places)
    steps = np.diff(places)
    usual = float(np.median(steps))
    even = bool(np.abs(steps - usual).max() <= UNEVEN * usual)
    if even:
        usual = float((places[-1] - places[0]) / (len(places) - 1))  # rounded positions must not add up
    else:
        _check_gaps(path, steps, usual)
        warnings.append(f"slices {steps.min():.4g} to {steps.max():.4g} mm apart: resampled every {usual:.4g} mm")
    tilt = _tilt(ordered, places)
    if tilt > TILT_DEGREES:
        warnings.append(f"the gantry was tilted by {tilt:.0f} degrees: slices are shown as they were scanned")
    return Stack(tuple(ordered), places, usual, even, tuple(warnings))


def affine_of(stack: Stack) -> np.ndarray:
    """(4, 4), index (column, row, slice) of the even stack -> mm, RAS+; sheared where the gantry was tilted."""
    first, last = stack.planes[0], stack.planes[-1]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = first.across * first.pitch[0], first.down * first.pitch[1]
    if len(stack.planes) == 1:
        lps[:3, 2] = first.normal * stack.step
    else:
        lps[:3, 2] = (last.position - first.position) * (stack.step / (stack.at[-1] - stack.at[0]))
    lps[:3, 3] = first.position
    return LPS_TO_RAS @ lps


def evened(voxels: np.ndarray, stack: Stack) -> np.ndarray:
    """(column, row, slice, …) at the stack's own places -> at equal steps, linear between neighbours."""
    if stack.even:
        return voxels
    n = int(np.floor((stack.at[-1] - stack.at[0]) / stack.step + 1e-6)) + 1
    wanted = stack.at[0] + np.arange(n) * stack.step
    above = np.clip(np.searchsorted(stack.at, wanted, side="right"), 1, len(stack.at) - 1)
    share = (wanted - stack.at[above - 1]) / (stack.at[above] - stack.at[above - 1])
    out = np.empty((*voxels.shape[:2], n, *voxels.shape[3:]), np.float32 if voxels.ndim == 3 else voxels.dtype)
    for k, (high, part) in enumerate(zip(above, share, strict=True)):
        out[:, :, k] = voxels[:, :, high - 1] * (1 - part) + voxels[:, :, high] * part
    return out


def _check_side_by_side(path: Path, ordered: Sequence[Plane], keep: np.ndarray) -> None:
    """Pictures of one place must be of the same place."""
    for k in np.flatnonzero(~keep).tolist():
        if np.abs(ordered[k].position - ordered[k - 1].position).max() > 0.1:
            raise _mixed(path, "ImagePositionPatient", "pictures side by side in one plane", "one picture a plane")


def _check_in_line(path: Path, ordered: Sequence[Plane], places: np.ndarray) -> None:
    """A table that moved, or two stations in one series, make no volume."""
    at = np.stack([plane.position for plane in ordered])
    share = (places - places[0]) / (places[-1] - places[0])
    off = np.abs(at - at[0] - share[:, None] * (at[-1] - at[0])).max()
    if off > OFF_LINE * min(ordered[0].pitch) or _tilt(ordered, places) > STEEPEST:
        found = f"a slice {off:.3g} mm beside the line through the others"
        raise _mixed(path, "ImagePositionPatient", found, "slices one above the other")


def _repeated(path: Path, all_: int, kept: int) -> list[str]:
    """Tell of a few doubles; more of them are another axis, which is not read."""
    if all_ == kept:
        return []
    if all_ - kept > max(2, kept // FEW) or kept == 1:
        raise refused(
            path,
            "the series is 4-D",
            field="ImagePositionPatient",
            found=f"{all_} pictures at {kept} place(s)",
            wanted="one at each",
            next="export one time point or one echo as a series of its own",
        )
    return [f"{all_ - kept} of {all_} slices lie where another does: the first one is used"]


def _check_gaps(path: Path, steps: np.ndarray, usual: float) -> None:
    """Wide steps in a stack that is even otherwise are gaps; where steps differ all over, it was scanned so."""
    wide = steps > MISSING * usual
    if wide.any() and (np.abs(steps - usual) <= UNEVEN * usual).mean() >= MOSTLY:
        lost = int(np.rint(steps[wide] / usual).sum() - wide.sum())
        raise refused(
            path,
            "slices are missing from the series",
            field="ImagePositionPatient",
            found=f"{wide.sum()} gap(s), about {lost} slice(s) of {usual:.4g} mm",
            wanted="an unbroken stack",
            next="export the whole series again",
        )


def _tilt(planes: Sequence[Plane], places: np.ndarray) -> float:
    """Degrees between the normal and the way from the first slice to the last."""
    way = planes[-1].position - planes[0].position
    return float(np.degrees(np.arccos(np.clip((places[-1] - places[0]) / np.linalg.norm(way), -1, 1))))


def _mixed(path: Path, field: str, found: str, wanted: str) -> Exception:
    return refused(
        path, "the slices don't make one volume", field=field, found=found, wanted=wanted, next="give one series alone"
    )
