"""Six families of questions about one scene, each with a margin that makes its answer beyond doubt.

    structure localisation   which of these boxes (well apart) holds it
    spatial localisation     side, half or third, host structure (at least 70 % of the lesion inside)
    existence verification   a kind of lesion that is plain to see, or not painted at all
    size comparison          the larger of two, by a quarter at least
    spatial relationship     centroids at least 10 mm apart along the axis asked about
    lesion analysis          kind, number

Left and right are the patient's. Wording is short and of few words. Most questions are about lesions:
where a structure lies can be guessed without looking, where a lesion lies can't.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage as ndi

from components.data.labels import ENVELOPE, ID, NAMES, PROPAGATED
from components.data.lesions import KINDS
from components.data.morphology import pieces
from components.data.scene import Scene
from model.interface.boxes import Box, iou
from model.interface.question import FAMILIES, Question, Remark

SIZE_RATIO = 1.25
GAP_MM = 10.0
HOST_SHARE = 0.7
APART_IOU = 0.3
LEAST_MM = {2: 140.0, 3: 2000.0}
"""Area (mm²) or volume (mm³) under which a structure is not asked about: about 30 pixels or 40 voxels as
the model sees them."""
NARROWEST_MM = {2: 8.0, 3: 9.0}
"""Shortest side of a structure's box."""
AXES = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}
SIDES = (("left", "right"), ("behind", "in front of"), ("below", "above"))
"""By axis (RAS+): what lies at the lower and at the higher coordinate."""
HALVES = (("left", "right"), ("back", "front"), ("lower", "upper"))


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
            found.append(replace(thing, host=host, count=pieces(core)[1]))
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


Maker = Callable[[View], Draft | None]


def ask(scene: Scene, n: int, random: np.random.Generator) -> list[Question]:
    """Up to n different questions; families take turns, in an order drawn for the scene."""
    view, made, order = View(scene, random), {}, random.permutation(len(FAMILIES))
    for turn in range(6 * n):
        family = FAMILIES[order[turn % len(FAMILIES)]]
        makers = MAKERS[family]
        draft = next(filter(None, (makers[k](view) for k in random.permutation(len(makers)))), None)
        if draft and draft.text not in made:
            made[draft.text] = _question(draft, family, f"{scene.study}-{len(made)}", scene, random)
        if len(made) == n:
            break
    return list(made.values())


def _question(draft: Draft, family: str, name: str, scene: Scene, random: np.random.Generator) -> Question:
    options = [draft.right, *draft.wrong]
    order = random.permutation(len(options))
    return Question(
        id=name,
        study=scene.study,
        subject=scene.subject,
        split=scene.split,
        dimension=scene.dimension,
        family=family,
        text=draft.text,
        options=tuple(options[k] for k in order),
        answer=int(np.flatnonzero(order == 0)[0]),
        regions=draft.regions,
        contrast=scene.contrast,
        rationale=draft.rationale,
        laterality=draft.laterality,
        licence=scene.licence,
        provenance=scene.provenance,
    )


# Structure localisation


def which_box(view: View) -> Draft | None:
    """A lesion in half of the cases; among the wrong boxes are near misses, its mirror image or its twin."""
    target = view.one(view.lesions if view.lesions and view.random.random() < 0.6 else view.structures)
    if target is None:
        return None
    # near misses, or knowing where a structure usually lies would do
    near = _nudged(target.box, view)
    others = [*near, *(thing.box for thing in view.structures)][: 2 * len(near)]
    if target.kind == "lesion":
        others = [*near, _mirrored(target.box, view.scene), *_moved(target.box, view)]
    wrong: list[Box] = []
    wanted = 2 + int(view.random.integers(2))
    twin = view.named(_twin(target.name))
    first = [twin.box] if twin else []
    for box in [*first, *(others[k] for k in view.random.permutation(len(others)))]:
        if all(iou(box, other) < APART_IOU for other in [target.box, *wrong]):
            wrong.append(box)
        if len(wrong) == wanted:
            break
    if not wrong:
        return None
    places = tuple(f"{{{i}}}" for i in range(len(wrong) + 1))
    # numbered at random, or the right one would always be {0}
    order = view.random.permutation(len(places))
    regions = [target.box] * len(places)
    for place, box in zip(order, [target.box, *wrong], strict=True):
        regions[place] = box
    named = [places[k] for k in order]
    sided = target.kind != "lesion" and target.name.startswith(("left", "right"))
    return Draft(f"Which box holds {target.the}?", named[0], tuple(named[1:]), (target.said(),), sided, tuple(regions))


def _mirrored(box: Box, scene: Scene) -> Box:
    """Across the middle of the picture, left to right; front to back of a sagittal slice."""
    axis = 1 if scene.plane == "sagittal" else 0
    n, low, high = scene.labels.shape[axis], list(box.low), list(box.high)
    low[axis], high[axis] = n - box.high[axis], n - box.low[axis]
    return Box.of((*low, *high))


def _nudged(box: Box, view: View) -> list[Box]:
    """The same box about half its size away along each axis in view."""
    found = []
    for _ in range(4):
        low = list(box.low)
        for axis in view.axes:
            by = round(box.size[axis] * view.random.uniform(0.35, 0.8)) * view.random.choice((-1, 1))
            low[axis] = int(np.clip(low[axis] + by, 0, view.scene.labels.shape[axis] - box.size[axis]))
        found.append(Box.of((*low, *(a + s for a, s in zip(low, box.size, strict=True)))))
    return found


def _moved(box: Box, view: View) -> list[Box]:
    """The same box elsewhere on the brain."""
    brain = np.argwhere((view.scene.labels > 0) & (view.scene.labels <= ID["corpus callosum"]))
    found = []
    for _ in range(8):
        centre = brain[view.random.integers(len(brain))]
        low = [
            int(np.clip(c - s // 2, 0, n - s))
            for c, s, n in zip(centre, box.size, view.scene.labels.shape, strict=True)
        ]
        found.append(Box.of((*low, *(a + s for a, s in zip(low, box.size, strict=True)))))
    return found


def _twin(name: str) -> str:
    first, _, rest = name.partition(" ")
    return {"left": f"right {rest}", "right": f"left {rest}"}.get(first, "")


# Spatial localisation


def side(view: View) -> Draft | None:
    lesion = view.one(view.lesions)
    if lesion is None or 0 not in view.axes or lesion.count > 1:
        return None
    gap = lesion.centre_mm[0] - _middle(view)[0]
    if abs(gap) < GAP_MM:
        return None
    right, wrong = ("right", "left") if gap > 0 else ("left", "right")
    return Draft(
        f"On which side is {lesion.the}?", right, (wrong,), (lesion.said(), Remark(f"It is on the {right}.")), True
    )


def half(view: View) -> Draft | None:
    """Front or back, upper or lower, of the picture or volume."""
    lesion, axis = view.one(view.lesions), view.axes[-1] if view.axes[-1] else 1
    if lesion is None or lesion.count > 1:
        return None
    gap = lesion.centre_mm[axis] - _middle(view)[axis]
    if abs(gap) < GAP_MM:
        return None
    lower, upper = HALVES[axis]
    right, wrong = (upper, lower) if gap > 0 else (lower, upper)
    return Draft(
        f"In which half is {lesion.the}?",
        f"{right} half",
        (f"{wrong} half",),
        (lesion.said(), Remark(f"It is in the {right} half.")),
    )


def third(view: View) -> Draft | None:
    """Which third of a volume's slices; the middle of the lesion at least 4 mm from a border between thirds."""
    lesion = view.one(view.lesions)
    if lesion is None or view.scene.dimension != 3 or lesion.count > 1:
        return None
    extent = view.scene.labels.shape[2] * view.scene.spacing_mm[2]
    at = float(lesion.centre_mm[2]) / extent * 3
    if min(abs(at - 1), abs(at - 2)) * extent / 3 < 4:
        return None
    names = ("lower third", "middle third", "upper third")
    right = names[int(at)]
    rationale = (lesion.said(), Remark(f"It is in the {right}."))
    return Draft(
        f"Which third of the slices holds {lesion.the}?", right, tuple(n for n in names if n != right), rationale
    )


def host(view: View) -> Draft | None:
    lesion = view.one([lesion for lesion in view.lesions if lesion.host and lesion.host not in ENVELOPE])
    if lesion is None:
        return None
    pool = [thing.name for thing in view.structures if thing.name not in (lesion.host, _twin(lesion.host))]
    drawn = [pool[k] for k in view.random.permutation(len(pool))[:2]]
    wrong = tuple(name for name in (_twin(lesion.host), *drawn) if name)
    if not wrong:
        return None
    rationale = (lesion.said(), Remark(f"It is in the {lesion.host}."))
    return Draft(f"In which structure is {lesion.the}?", lesion.host, wrong, rationale, True)


def _middle(view: View) -> np.ndarray:
    """Middle of the field of view, mm from the grid's corner."""
    return np.array(view.scene.labels.shape) * np.array(view.scene.spacing_mm) / 2


# Existence verification


def lesion_there(view: View) -> Draft | None:
    seen = {lesion.name for lesion in view.lesions}
    absent = [kind for kind in KINDS if kind not in seen and kind not in view.scene.hidden]
    if view.lesions and view.random.random() < 0.6:
        lesion = view.lesions[view.random.integers(len(view.lesions))]
        return Draft(f"Is there {_a(lesion.name)}?", "Yes", ("No",), (lesion.said(),))
    if not absent:
        return None
    name = absent[view.random.integers(len(absent))]
    return Draft(f"Is there {_a(name)}?", "No", ("Yes",), (Remark(f"No {name} is seen."),))


def structure_there(view: View) -> Draft | None:
    """In a slice only: a volume holds every structure."""
    if view.scene.dimension != 2:
        return None
    there = set(np.unique(view.scene.labels).tolist())
    absent = [name for i, name in enumerate(NAMES) if i and i not in there and name not in ENVELOPE]
    if view.random.random() < 0.5 or not absent:
        thing = view.one(view.structures)
        return thing and Draft(f"Is {thing.the} seen?", "Yes", ("No",), (thing.said(),), _sided(thing.name))
    name = absent[view.random.integers(len(absent))]
    return Draft(f"Is the {name} seen?", "No", ("Yes",), (Remark(f"No {name} is seen."),), _sided(name))


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _sided(name: str) -> bool:
    return name.startswith(("left", "right"))


# Size comparison


def larger_twin(view: View) -> Draft | None:
    pairs = [(thing, view.named(_twin(thing.name))) for thing in view.structures if thing.name.startswith("left")]
    clear = [(a, b) for a, b in pairs if b and max(a.size, b.size) >= SIZE_RATIO * min(a.size, b.size)]
    if not clear:
        return None
    a, b = clear[view.random.integers(len(clear))]
    right, wrong = ("left", "right") if a.size > b.size else ("right", "left")
    rationale = (a.said(), b.said(), Remark(f"The {right} one is larger."))
    return Draft(f"Which {a.name.removeprefix('left ')} is larger?", right, (wrong,), rationale, True)


def larger_than_lesion(view: View) -> Draft | None:
    lesion = view.one(view.lesions)
    if lesion is None:
        return None
    bigger = view.random.random() < 0.5
    pool = [
        s
        for s in view.structures
        if (s.size >= SIZE_RATIO * lesion.size if bigger else lesion.size >= SIZE_RATIO * s.size)
    ]
    # of those clearly larger only the nearest in size: else the question answers itself
    pool = sorted(pool, key=lambda s: abs(np.log(s.size / lesion.size)))[:4]
    thing = view.one(pool)
    if thing is None:
        return None
    right, wrong = (thing, lesion) if bigger else (lesion, thing)
    rationale = (lesion.said(), thing.said(), Remark(f"The {right.name} is larger."))
    return Draft(
        f"Which is larger, {lesion.the} or {thing.the}?", right.name, (wrong.name,), rationale, _sided(thing.name)
    )


# Spatial relationship


CENTRAL = (
    "thalamus",
    "caudate",
    "putamen",
    "lateral ventricle",
    "insula",
    "hippocampus",
    "corpus callosum",
    "brainstem",
)


def relation(view: View) -> Draft | None:
    """A lesion against a structure in the middle of the brain: lesions lie on every side of those."""
    thing = view.one([thing for thing in view.structures if thing.name.endswith(CENTRAL)])
    lesion = view.one([lesion for lesion in view.lesions if lesion.count == 1])
    if thing is None or lesion is None:
        return None
    gap = lesion.centre_mm - thing.centre_mm
    clear = [axis for axis in view.axes if abs(gap[axis]) >= GAP_MM]
    if not clear:
        return None
    axis = clear[view.random.integers(len(clear))]
    lower, upper = SIDES[axis]
    right, wrong = (upper, lower) if gap[axis] > 0 else (lower, upper)
    of = "" if axis else " of"
    text = f"Is {lesion.the} {lower} or {upper}{of} {thing.the}?"
    rationale = (lesion.said(), thing.said(), Remark(f"It is {right}{of} {thing.the}."))
    return Draft(text, right, (wrong,), rationale, axis == 0 or _sided(thing.name))


# Lesion analysis


def kind(view: View) -> Draft | None:
    if len(view.lesions) > 1 or view.scene.hidden:
        return None
    names = list(KINDS)
    if not view.lesions:
        wrong = tuple(names[k] for k in view.random.permutation(len(names))[:3])
        return Draft("What kind of lesion is seen?", "none", wrong, (Remark("No lesion is seen."),))
    lesion = view.lesions[0]
    others = [name for name in names if name != lesion.name]
    wrong = tuple(others[k] for k in view.random.permutation(len(others))[:2])
    rationale = (Remark("A lesion is at", lesion.box, lesion.name, "lesion"), Remark(f"It is {_a(lesion.name)}."))
    return Draft("What kind of lesion is seen?", lesion.name, (*wrong, "none"), rationale)


def number(view: View) -> Draft | None:
    """One piece or more of a kind that may come in several."""
    lesion = view.one([lesion for lesion in view.lesions if KINDS[lesion.name].near_ventricle])
    if lesion is None:
        return None
    right, wrong = ("one", "several") if lesion.count == 1 else ("several", "one")
    rationale = (lesion.said(), Remark(f"There is {right}." if right == "one" else "There are several."))
    return Draft(f"Is there one {lesion.name} or several?", right, (wrong,), rationale)


MAKERS: dict[str, tuple[Maker, ...]] = {
    "structure localisation": (which_box,),
    "spatial localisation": (side, host, half, third),
    "existence verification": (lesion_there, lesion_there, structure_there),
    "size comparison": (larger_twin, larger_than_lesion),
    "spatial relationship": (relation,),
    "lesion analysis": (kind, kind, kind, number),
}
