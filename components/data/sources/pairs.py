"""An image and what is drawn on it: brought to RAS+ alike, on one grid or refused, named in our words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np

from components.data.sources.calibration import calibrated
from components.data.sources.case import Labelled, Outline, Sides, outlines_of, unnamed
from components.data.sources.ontology import named, named_all
from model.imaging.reading.declared import Declared
from model.imaging.reading.files import refused
from model.imaging.reading.read import read_labels, read_volume
from model.imaging.volume import Volume
from model.interface.errors import BadInput

APART = 0.5
"""Voxels by which the corners of two grids may differ: headers are rounded."""


def with_label_map(
    image: Path, labels: Path, names: Mapping[int, str], declared: Declared | None = None, frameless: Sides = "unknown"
) -> Labelled:
    """An image with one map of labels.

    names: label value -> the set's own name, "" for what is left out; frameless: whose sides are told of a picture,
    which has no frame. Raises BadInput.
    """
    volume = _read(image, declared)
    drawn = _drawn(labels, volume)
    known, warnings = named_all(names)
    if strange := unnamed(drawn, known):
        found = ", ".join(map(str, strange[:8])) + (", …" if len(strange) > 8 else "")
        wanted = f"0 or one of {', '.join(map(str, sorted(known)))}"
        with _told_with_folder(labels):
            raise refused(
                labels, "label values without a name", field="values", found=found, wanted=wanted,
                next="name them in the set's table, or take the case out",
            )  # fmt: skip
    return told(volume, outlines_of(drawn, known), known.values(), warnings, frameless)


def with_masks(
    image: Path, masks: Mapping[str, Sequence[Path]], declared: Declared | None = None, axial: bool = False
) -> Labelled:
    """An image with a file of 0 and not 0 for each of the set's names, or several that are one.

    axial: the set says so of a single picture. Raises BadInput.
    """
    volume = _read(image, declared)
    files: dict[str, list[Path]] = {}
    warnings = []
    for source_name, paths in masks.items():
        name, warning = named(source_name)
        files.setdefault(name, []).extend(paths)
        warnings += [warning] if warning else []
    outlines = []
    for name, paths in files.items():
        inside = np.zeros(volume.shape, bool)
        for path in paths:
            inside |= _drawn(path, volume) != 0
        outlines.append(Outline.of(name, inside))
    return told(volume, [outline for outline in outlines if outline], files, warnings, axial=axial)


def told(
    volume: Volume,
    outlines: Sequence[Outline],
    sought: Iterable[str],
    warnings: Sequence[str],
    frameless: Sides = "unknown",
    axial: bool = False,
) -> Labelled:
    """The last step of every adapter: sides from the frame, or from where the organs lie."""
    sides: Sides = "patient" if volume.frame_known else frameless if volume.dimension == 2 else "unknown"
    known = frozenset(filter(None, sought))
    return calibrated(Labelled(volume, tuple(outlines), sides, tuple(warnings), known), axial)


def _read(image: Path, declared: Declared | None) -> Volume:
    with _told_with_folder(image):
        return read_volume(image, declared)


def _drawn(path: Path, volume: Volume) -> np.ndarray:
    """A label map or a mask, (x, y, z), on the volume's grid: the same voxels at the same places.

    Where neither has a frame nobody can say more than that their shapes agree. Raises BadInput.
    """
    with _told_with_folder(path):
        return _on_grid(path, volume)


@contextmanager
def _told_with_folder(path: Path) -> Iterator[None]:
    """Images and labels are often called alike."""
    try:
        yield
    except BadInput as error:
        where = f"{path.parent.name}/{error.where}"
        raise BadInput(error.what, where=where, next=error.next, safe=error.safe) from error


def _on_grid(path: Path, volume: Volume) -> np.ndarray:
    drawn = read_labels(path)
    if drawn.shape != volume.shape:
        raise _other_grid(path, "shape", _shape(drawn), f"{_shape(volume)}, the image's")
    if drawn.frame_known != volume.frame_known:
        found, wanted = ("a frame", "none") if drawn.frame_known else ("no frame", "one")
        raise _other_grid(path, "affine", found, f"{wanted}, as the image has")
    corners = np.array([[*corner, 1] for corner in product(*((0, n) for n in volume.shape))])
    apart = np.abs(corners @ (np.linalg.inv(volume.affine) @ drawn.affine - np.eye(4)).T).max()
    if volume.frame_known and apart > APART:
        raise _other_grid(path, "affine", f"corners {apart:.3g} voxels off", f"the image's, within {APART}")
    return drawn.voxels


def _other_grid(path: Path, field: str, found: str, wanted: str) -> Exception:
    return refused(
        path, "image and labels are on different grids", field=field, found=found, wanted=wanted,
        next="take the case out, or resample the labels to the image by nearest neighbour",
    )  # fmt: skip


def _shape(volume: Volume) -> str:
    return " x ".join(map(str, volume.shape))
