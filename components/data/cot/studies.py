"""From a case to its studies: the volume itself, and slices cut from it where there is something to see.

Names are keyed digests: neither a file's name nor a patient's gets into a data set, nor can either be guessed from it.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage as ndi

from components.data.cot.things import Sight, cut, slice_of, things
from components.data.gates import person
from components.data.sources.case import Case, Labelled, Outline
from components.data.sources.ontology import entry
from model.imaging.shards import STORED, Study
from model.imaging.volume import SLICE_AXIS, Volume
from model.interface.errors import BadInput

PLANES = ("axial", "coronal", "sagittal")
THROUGH_LESION = 0.6
"""Share of slices that are sought through a lesion, where there is one."""
FULL = 0.5
"""Least area of the thing a slice is cut through, in areas of its largest slice."""
SHELL = 2
"""Voxels around a lesion that it is compared with."""


@dataclass(frozen=True, eq=False)
class Cutting:
    """How studies are cut from a case, and what of a lesion counts as seen."""

    slices: int
    """Of each volume."""
    least_cnr: float
    """Contrast to noise under which a lesion is neither asked about nor denied; 0 trusts whoever outlined it."""


Told = tuple[Study, Sight]


def studies(
    case: Case, labelled: Labelled, cutting: Cutting, split: str, random: np.random.Generator
) -> Iterator[Told]:
    """A volume, then its slices; a case that is a slice itself gives that."""
    volume = _compact(labelled.volume)
    name = digest_of(case)
    yield _told(case, name, split, volume, labelled.outlines, labelled, cutting)
    if volume.dimension == 2:
        return
    for plane, at in sorted(_places(labelled, volume, cutting.slices, random)):
        shown = cut(labelled.outlines, SLICE_AXIS[plane], at)
        yield _told(case, f"{name}-{plane}-{at}", split, slice_of(volume, plane, at), shown, labelled, cutting)


def digest_of(case: Case) -> str:
    """A case's name in the data set: 12 hex digits."""
    return _keyed(case, f"{case.source}|{case.study}")


def subject_of(case: Case) -> str:
    """A person's name in the data set, the same in every set of a build that is known to hold them: 12 hex digits."""
    return _keyed(case, f"subject|{person(case.source, case.subject)}")


def _keyed(case: Case, told: str) -> str:
    return hmac.digest(case.key, told.encode(), "sha256").hex()[:12]


def key_of(case: Case) -> bytes:
    """What a build digests names with: the bytes of its first case's files, labels among them.

    Names of files and people are few enough to be tried out one by one; who doesn't hold the set can't. The same set
    gives the same key anywhere, which is written nowhere. Raises BadInput.
    """
    found = hashlib.sha256()
    for path in files_of(case):
        try:
            with path.open("rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise BadInput(
                "a file can't be read",
                where=f"{case.source}, case {case.study}: {path.name}, found {error.strerror}, wanted a readable file",
                next="see to its permissions, or take the case out",
            ) from error
    return found.digest()


def files_of(case: Case) -> list[Path]:
    """What it is read from, each file of a folder."""
    found = (sorted(path.rglob("*")) if path.is_dir() else [path] for path in case.files)
    return [path for some in found for path in some if not path.is_dir()]


def contrast_to_noise(voxels: np.ndarray, outline: Outline) -> float:
    """|median inside - median of a shell around it|, in robust standard deviations of the shell."""
    low = np.maximum(np.subtract(outline.low, SHELL), 0)
    high = np.minimum(np.add(outline.low, outline.inside.shape) + SHELL, voxels.shape)
    near = voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    inside = np.zeros(near.shape, bool)
    start = np.subtract(outline.low, low)
    inside[tuple(slice(a, a + n) for a, n in zip(start, outline.inside.shape, strict=True))] = outline.inside
    shell = ndi.binary_dilation(inside, iterations=SHELL) & ~inside
    if not shell.any():
        return 0.0
    around = np.median(near[shell])
    noise = 1.4826 * np.median(np.abs(near[shell] - around))
    return float(abs(np.median(near[inside]) - around) / max(noise, 1e-6))


def _told(
    case: Case,
    name: str,
    split: str,
    volume: Volume,
    outlines: Sequence[Outline],
    labelled: Labelled,
    cutting: Cutting,
) -> Told:
    found = things(outlines, volume)
    doubtful = labelled.doubtful | {o.name for o in outlines} - {thing.name for thing in found}
    if cutting.least_cnr and not volume.is_colour:
        by_name = {o.name: o for o in outlines}
        faint = [
            thing.name
            for thing in found
            if thing.is_lesion and contrast_to_noise(volume.voxels, by_name[thing.name]) < cutting.least_cnr
        ]
        found = [thing for thing in found if thing.name not in faint]
        doubtful |= set(faint)
    here = {thing.name for thing in found}
    sought, group = labelled.sought, digest_of(case)
    sight = Sight(
        study=name,
        subject=subject_of(case),
        group=group,
        split=split,
        licence=case.licence,
        provenance=f"{case.source}, case {group}",
        dimension=volume.dimension,
        plane=volume.plane,
        shape=volume.shape,
        spacing_mm=volume.spacing_mm,
        spacing_known=volume.spacing_known,
        sides=labelled.sides == "patient" and volume.frame_known,
        contrast=labelled.contrast or volume.modality,
        things=tuple(found),
        absent=tuple(sorted(sought - here - doubtful)),
        lesions_told=any(entry(n).kind == "lesion" for n in sought)
        and not any(entry(n).kind == "lesion" for n in doubtful),
    )
    return Study(
        name, sight.subject, split, sight.contrast, volume, sight.group, sight.licence, sight.provenance
    ), sight


def _places(labelled: Labelled, volume: Volume, n: int, random: np.random.Generator) -> set[tuple[str, int]]:
    """(plane, index) of up to n slices, each through a good part of something."""
    lesions = [o for o in labelled.outlines if entry(o.name).kind == "lesion"]
    planes = PLANES if volume.frame_known else ("image",)
    found: set[tuple[str, int]] = set()
    for _ in range(4 * n if labelled.outlines else 0):
        pool = lesions if lesions and random.random() < THROUGH_LESION else labelled.outlines
        outline = pool[random.integers(len(pool))]
        plane = planes[random.integers(len(planes))]
        axis = SLICE_AXIS[plane]
        area = np.count_nonzero(outline.inside, axis=tuple(a for a in range(3) if a != axis))
        found.add((plane, outline.low[axis] + int(random.choice(np.flatnonzero(area >= FULL * area.max())))))
        if len(found) == n:
            break
    return found


def _compact(volume: Volume) -> Volume:
    """The same values in the smallest type that shards store."""
    voxels = volume.voxels
    if voxels.dtype == np.uint8 or volume.is_colour:
        return volume
    least, most = float(voxels.min()), float(voxels.max())
    whole = np.issubdtype(voxels.dtype, np.integer) or bool((voxels == np.rint(voxels)).all())
    kinds = [np.uint8, np.int16] if whole else []
    kind = next((k for k in kinds if np.iinfo(k).min <= least and most <= np.iinfo(k).max), np.float32)
    assert np.dtype(kind).name in STORED
    return replace(volume, voxels=voxels.astype(kind))
