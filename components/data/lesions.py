"""Six kinds of lesion: where they grow, how they look, and exact masks of them.

A lesion is asked about only where it can be seen: `contrast_to_noise` of 2 or more.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage as ndi

from components.data.labels import ID, NAMES, TISSUE
from components.data.morphology import depth, pieces, stretched

VISIBLE_CNR = 2.0


@dataclass(frozen=True, slots=True)
class Kind:
    """Intensities are on the scale of the contrast: HU of a CT, about 0 to 1 otherwise."""

    levels: dict[str, tuple[float, float | None]]
    """Contrast -> (core, rim or oedema); None leaves the tissue as it is."""
    radius_mm: tuple[float, float]
    """Smallest and largest; of a subdural the thickness."""
    hosts: tuple[str, ...] = ()
    """Structures that may hold the centre, on a side drawn at random. Empty: under the skull."""
    rim_mm: float = 0.0
    ring: bool = False
    """Necrotic centre inside an enhancing ring, on T1 and CT."""
    near_ventricle: bool = False
    """Three to seven foci within about 8 mm of a lateral ventricle."""
    centre: dict[str, float] = field(default_factory=dict[str, float])
    """Contrast -> level of a centre of another tone: liquid in a haemorrhage, blood in an infarct, soft tissue in a
    shell of calcium, death within a mass. Contrasts where it would not stand out, or where every centre differs, are
    left out."""


# fmt: off
KINDS = {
    "haemorrhage": Kind(
        {"CT": (65, 18), "T1": (.70, .50), "T2": (.25, .85), "FLAIR": (.30, .85), "DWI": (.20, .50)},
        (8, 20), ("putamen", "thalamus", "white matter"), rim_mm=3,
        centre={"CT": 12, "T1": .25, "T2": .90, "FLAIR": .85}),
    "infarct": Kind(
        {"CT": (12, None), "T1": (.28, None), "T2": (.90, None), "FLAIR": (.25, .85), "DWI": (.95, None)},
        (9, 20), ("putamen", "white matter"), rim_mm=3,
        centre={"CT": 65, "T1": .75, "T2": .35, "FLAIR": .80}),
    "enhancing mass": Kind(
        {"CT": (55, 18), "T1": (1.05, .50), "T2": (.65, .90), "FLAIR": (.60, .95), "DWI": (.75, .55)},
        (10, 20), ("white matter",), rim_mm=7, ring=True,
        centre={"T2": .95, "FLAIR": .15}),
    "calcification": Kind(
        {"CT": (180, None), "T1": (.30, None), "T2": (.12, None), "FLAIR": (.15, None), "DWI": (.05, None)},
        (5, 10), ("pallidum", "thalamus", "cerebellar white matter", "white matter"),
        centre={"CT": 30, "T1": .80, "T2": .60, "FLAIR": .65}),
    "white matter lesion": Kind(
        {"CT": (19, None), "T1": (.62, None), "T2": (.80, None), "FLAIR": (.95, None), "DWI": (.65, None)},
        (4, 7.5), ("white matter",), near_ventricle=True),
    "subdural haematoma": Kind(
        {"CT": (62, None), "T1": (.75, None), "T2": (.60, None), "FLAIR": (.80, None), "DWI": (.30, None)},
        (7, 14)),
}
# fmt: on
NECROSIS = {"T1": 0.35, "CT": 14.0}
"""Level of the dead centre of a ring mass."""
NECROSIS_DEPTH_MM = 4.0
CENTRE_FROM = 0.55
"""How deep a centre of another tone begins, in parts of the lesion's greatest depth: too small a thing to be told from
its picture at the resolution a whole study is shown at, and plain to see in a crop from the source."""
CENTRE_SHARE = 0.5
"""Of lesions whose kind may have one."""


@dataclass(frozen=True, eq=False)
class Lesion:
    kind: str
    core: np.ndarray
    """bool (x, y, z): what is counted, boxed and asked about."""
    rim: np.ndarray
    """bool (x, y, z): oedema around it."""
    centre: np.ndarray | None = None
    """bool (x, y, z), part of the core: what is or could be of another tone; None where that is no question."""
    toned: bool = False
    """Whether it is."""


def draw(random: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, kinds: list[str]) -> list[Lesion]:
    """One lesion (or one group of foci) of each kind; a kind that found no room is left out."""
    found = []
    for name in kinds:
        kind = KINDS[name]
        core, rim = (
            _foci(random, labels, spacing_mm, kind) if kind.hosts else _subdural(random, labels, spacing_mm, kind)
        )
        core = _without_crumbs(core, spacing_mm)
        if core.any():
            found.append(Lesion(name, core, rim & ~core))
    return found


def with_centre(random: np.random.Generator, lesion: Lesion, contrast: str, spacing_mm: np.ndarray) -> Lesion:
    """The lesion with a centre, by chance of another tone; unchanged where its kind can't have one in the contrast."""
    if contrast not in KINDS[lesion.kind].centre:
        return lesion
    centre, here = np.zeros_like(lesion.core), _bounding(lesion.core, 1)
    deep = depth(lesion.core[here], spacing_mm)
    centre[here] = deep > CENTRE_FROM * deep.max()
    return replace(lesion, centre=centre, toned=bool(random.random() < CENTRE_SHARE))


def contrast_to_noise(image: np.ndarray, labels: np.ndarray, lesion: Lesion, spacing_mm: np.ndarray) -> float:
    """|median(core) - median(shell)| over the shell's robust standard deviation.

    The shell is two voxels around core and rim, without the rim, skull and scalp. Of a ring mass only
    the ring is measured.
    """
    around = _bounding(lesion.core | lesion.rim, 3)
    image, labels, core, rim = image[around], labels[around], lesion.core[around], lesion.rim[around]
    outside = ~core & ~rim & (labels > 0) & ~np.isin(labels, [ID["skull"], ID["scalp"]])
    shell = image[np.asarray(ndi.binary_dilation(core | rim, iterations=2), bool) & outside]
    if not shell.size:
        return 0.0
    if KINDS[lesion.kind].ring:
        core = core & (depth(np.pad(core, 1), spacing_mm)[1:-1, 1:-1, 1:-1] <= NECROSIS_DEPTH_MM)
    middle = np.median(shell)
    spread = 1.4826 * np.median(np.abs(shell - middle))
    return float(np.abs(np.median(image[core]) - middle) / (spread + 1e-6))


def _bounding(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    corner = ndi.find_objects(mask.view(np.uint8))[0]
    return tuple(slice(max(0, s.start - margin), s.stop + margin) for s in corner)


def _subdural(
    random: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, kind: Kind
) -> tuple[np.ndarray, np.ndarray]:
    """A crescent under the skull of one side, thickest at its centre."""
    inside = (labels > 0) & ~np.isin(labels, [ID["skull"], ID["scalp"]])
    middle = round((labels.shape[0] - 1) / 2)
    white = np.flatnonzero(np.isin(labels, [ID["left white matter"], ID["right white matter"]]).any((0, 1)))
    half = np.zeros_like(inside)
    side = slice(0, middle - 3) if random.random() < 0.5 else slice(middle + 4, None)
    nothing = np.zeros_like(inside)
    if not len(white):
        return nothing, nothing
    half[side, :, int(np.percentile(white, 25)) :] = True
    inside_mm = depth(inside, spacing_mm)
    thickness = random.uniform(*kind.radius_mm)
    surface = np.argwhere(inside & half & (inside_mm <= spacing_mm.max()))
    if not len(surface):
        return nothing, nothing
    centre, extent = surface[random.integers(len(surface))], random.uniform(40, 65)
    spans = [(np.arange(n) - c) * mm for n, c, mm in zip(labels.shape, centre, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*spans, indexing="ij", sparse=True)
    far2 = x**2 + y**2 + z**2
    return inside & half & (inside_mm <= thickness * np.sqrt(np.clip(1 - far2 / extent**2, 0, 1))), nothing


def _foci(
    random: np.random.Generator, labels: np.ndarray, spacing_mm: np.ndarray, kind: Kind
) -> tuple[np.ndarray, np.ndarray]:
    """A rough ellipsoid, or several beside the ventricles; each stays on its own side."""
    core, rim = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    count = int(random.integers(3, 8)) if kind.near_ventricle else 1
    for _ in range(count):
        side = str(random.choice(["left ", "right "]))
        host = ID[side + str(random.choice(kind.hosts))]
        places = _places(labels, host, spacing_mm, kind)
        if not len(places):
            continue
        centre = places[random.integers(len(places))] + random.uniform(-0.5, 0.5, 3)
        radius = random.uniform(*kind.radius_mm)
        here, distance = _blob(random, labels.shape, centre, radius, spacing_mm)
        # out of the ventricles, skull and scalp, and never over the midline
        same_side = [i for i, name in enumerate(NAMES) if name.startswith(side) and "ventricle" not in name]
        may = np.isin(labels[here], same_side)
        core[here] |= (distance < 1) & may
        if kind.rim_mm:
            soft = [i for i in same_side if TISSUE[i] in ("WM", "BS", "DGM", "TH")]
            rim[here] |= (distance < 1 + kind.rim_mm / radius) & (distance >= 1) & np.isin(labels[here], soft)
    return core, rim


def _places(labels: np.ndarray, host: int, spacing_mm: np.ndarray, kind: Kind) -> np.ndarray:
    """Voxels that may be the centre of a focus."""
    allowed = labels == host
    if kind.near_ventricle:
        ventricles = np.isin(labels, [ID["left lateral ventricle"], ID["right lateral ventricle"]])
        if not ventricles.any():
            return np.empty((0, 3))
        reach = int(np.ceil(8 / spacing_mm.min()))
        near = _bounding(ventricles, reach + 1)
        close = depth(~ventricles[near], spacing_mm) <= 8
        kept = np.zeros_like(allowed)
        kept[near] = allowed[near] & close
        return np.argwhere(kept)
    if NAMES[host].endswith("white matter") and allowed.any():
        near = _bounding(allowed, 1)
        kept = np.zeros_like(allowed)
        kept[near] = depth(allowed[near], spacing_mm) > 2.5
        return np.argwhere(kept)
    return np.argwhere(allowed)


def _blob(
    random: np.random.Generator, shape: tuple[int, ...], centre: np.ndarray, radius_mm: float, spacing_mm: np.ndarray
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Where, and a distance map (below 1 is inside) of a rough ellipsoid. centre: voxels, inside the grid."""
    reach = radius_mm * 1.6 / spacing_mm
    low = np.maximum(0, np.floor(centre - reach)).astype(int)
    high = np.minimum(shape, np.ceil(centre + reach) + 1).astype(int)
    spans = [(np.arange(i, j) - c) * mm for i, j, c, mm in zip(low, high, centre, spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*spans, indexing="ij", sparse=True)
    a, b, c = radius_mm * random.uniform(0.75, 1.25, 3)
    distance = np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    bumps = stretched(random.normal(0, 0.28, (4,) * 3), [n / 4 for n in distance.shape], order=1)
    return tuple(slice(i, j) for i, j in zip(low, high, strict=True)), distance + bumps


def _without_crumbs(core: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Remove 26-connected pieces under 3 voxels or 15 mm³, so that lesions can be counted."""
    found, n = pieces(core)
    if n == 0:
        return core
    size = np.bincount(found.ravel())
    keep = size >= max(3, 15 / np.prod(spacing_mm))
    keep[0] = False
    return keep[found]
