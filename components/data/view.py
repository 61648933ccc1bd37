"""What a scene shows, measured once: the things that questions are made of, and the margins they keep.

Left and right are the patient's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage as ndi

from components.data.labels import ENVELOPE, NAMES, PROPAGATED
from components.data.morphology import pieces
from components.data.scene import Scene
from model.interface.boxes import Box
from model.interface.question import Remark

SIZE_RATIO = 1.25
GAP_MM = 10.0
HOST_SHARE = 0.7
LEAST_MM = {2: 140.0, 3: 2000.0}
"""Area (mm²) or volume (mm³) under which a structure is not asked about: about 30 pixels or 40 voxels as
the model sees them."""
NARROWEST_MM = {2: 8.0, 3: 9.0}
"""Shortest side of a structure's box."""
AXES = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}


@dataclass(frozen=True, eq=False)
class Thing:
    """A structure or lesion of a scene."""

    name: str
    box: Box
    """Source voxels."""
    centre_mm: np.ndarray
    """(x, y, z), mm from the grid's corner, RAS+."""
    size: float
    """mm³, or mm² of a slice."""
    kind: str
    """own, propagated or lesion."""
    host: str = ""
    """Of a lesion: the structure most of it is in, "" where that is in doubt."""
    count: int = 1
    """Separate pieces of a lesion."""
    toned: bool | None = None
    """Of a lesion: whether its centre is of another tone, None where that is in doubt."""

    @property
    def the(self) -> str:
        return f"the {self.name}"

    def said(self) -> Remark:
        return Remark(f"The {self.name} is at", self.box, self.name, self.kind)


class View:
    """A scene's things, measured once."""

    def __init__(self, scene: Scene, random: np.random.Generator) -> None:
        self.scene, self.random = scene, random
        self.axes = AXES[scene.plane] if scene.dimension == 2 else (0, 1, 2)

    @cached_property
    def structures(self) -> list[Thing]:
        scene, found = self.scene, []
        spans = ndi.find_objects(scene.labels)
        for i, where in enumerate(spans, start=1):
            if where is None or NAMES[i] in ENVELOPE:
                continue
            thing = self._thing(NAMES[i], scene.labels[where] == i, where, self._kind(NAMES[i]))
            sides = [thing.box.size[axis] * scene.spacing_mm[axis] for axis in self.axes]
            if thing.size >= LEAST_MM[scene.dimension] and min(sides) >= NARROWEST_MM[scene.dimension]:
                found.append(thing)
        return found

    @cached_property
    def lesions(self) -> list[Thing]:
        found = []
        for seen in self.scene.lesions:
            where = ndi.find_objects(seen.core.view(np.uint8))[0]
            core = seen.core[where]
            inside = np.bincount(self.scene.labels[where][core], minlength=len(NAMES))
            host = NAMES[int(inside.argmax())] if inside.max() > HOST_SHARE * inside.sum() else ""
            thing = self._thing(seen.kind, core, where, "lesion")
            found.append(replace(thing, host=host, count=pieces(core)[1], toned=seen.toned))
        return found

    def named(self, name: str) -> Thing | None:
        return next((thing for thing in self.structures if thing.name == name), None)

    def one(self, things: list[Thing]) -> Thing | None:
        return things[self.random.integers(len(things))] if things else None

    def _kind(self, name: str) -> str:
        return "propagated" if self.scene.own and any(word in name for word in PROPAGATED) else "own"

    def _thing(self, name: str, mask: np.ndarray, where: tuple[slice, ...], kind: str) -> Thing:
        low = np.array([s.start for s in where])
        spacing = np.array(self.scene.spacing_mm)
        middle = (low + np.array(ndi.center_of_mass(mask)) + 0.5) * spacing
        voxel = float(np.prod(spacing if self.scene.dimension == 3 else spacing[list(self.axes)]))
        box = Box.of((*low.tolist(), *(s.stop for s in where)))
        return Thing(name, box, middle, float(mask.sum()) * voxel, kind)


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it has an id: options in any order, the right one first."""

    text: str
    right: str
    wrong: tuple[str, ...]
    rationale: tuple[Remark, ...]
    laterality: bool = False
    regions: tuple[Box, ...] = ()
    fine: bool = False


Maker = Callable[[View], Draft | None]


def twin(name: str) -> str:
    first, _, rest = name.partition(" ")
    return {"left": f"right {rest}", "right": f"left {rest}"}.get(first, "")


def with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def is_sided(name: str) -> bool:
    return name.startswith(("left", "right"))


def middle_mm(view: View) -> np.ndarray:
    """Middle of the field of view, mm from the grid's corner."""
    return np.array(view.scene.labels.shape) * np.array(view.scene.spacing_mm) / 2
