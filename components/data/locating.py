"""Questions about where: which box holds it (structure localisation), and where it lies (spatial localisation)."""

import numpy as np

from components.data.labels import ENVELOPE, ID
from components.data.scene import Scene
from components.data.view import GAP_MM, Draft, View, is_sided, middle_mm, twin
from model.interface.boxes import Box, iou
from model.interface.question import Remark

APART_IOU = 0.3
"""Most that two boxes to choose from may overlap."""
TRIES = 12
"""Draws of wrong boxes of which one is taken."""
HALVES = (("left", "right"), ("back", "front"), ("lower", "upper"))
"""By axis (RAS+): the half at the lower and at the higher coordinate."""

# Structure localisation


def which_box(view: View) -> Draft | None:
    """Where there is a lesion, that in three of five; wrong boxes are near misses, its mirror image or its twin."""
    target = view.one(view.lesions if view.lesions and view.random.random() < 0.6 else view.structures)
    if target is None:
        return None
    # near misses, or knowing where a structure usually lies would do; also those of a place that itself is one, or the
    # right box would be the one in the middle
    near = _nudged(target.box, view)
    near += _nudged(near[0], view)
    others = [*near, *(thing.box for thing in view.structures)][: 2 * len(near)]
    if target.kind == "lesion":
        others = [*near, _mirrored(target.box, view.scene), *_moved(target.box, view)]
    other_side = view.named(twin(target.name))
    wrong = _chosen(target.box, [other_side.box] if other_side else [], others, view.random)
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


def _chosen(right: Box, first: list[Box], others: list[Box], random: np.random.Generator) -> list[Box]:
    """Two or three wrong boxes well apart, the first ones among them, so that the right one is as often the outermost
    as the innermost: which it is to be is drawn, and the first of some draws that come nearest to it is taken."""
    wanted = 2 + int(random.integers(2))
    rank, best = int(random.integers(wanted + 1)), []
    for _ in range(TRIES):
        wrong: list[Box] = []
        for box in [*first, *(others[k] for k in random.permutation(len(others)))]:
            if len(wrong) < wanted and all(iou(box, other) < APART_IOU for other in [right, *wrong]):
                wrong.append(box)
        best = max(best, wrong, key=lambda boxes: (len(boxes), -abs(centrality([right, *boxes]) - rank)))
    return best


def centrality(boxes: list[Box]) -> int:
    """How many of the others have centres nearer to the mean of all centres than the first one's is."""
    centres = np.array([box.centre for box in boxes])
    away = np.linalg.norm(centres - centres.mean(axis=0), axis=1)
    return int((away[1:] < away[0]).sum())


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


# Spatial localisation


def side(view: View) -> Draft | None:
    lesion = view.one(view.lesions)
    if lesion is None or 0 not in view.axes or lesion.count > 1:
        return None
    gap = lesion.centre_mm[0] - middle_mm(view)[0]
    if abs(gap) < GAP_MM:
        return None
    right, wrong = ("right", "left") if gap > 0 else ("left", "right")
    return Draft(
        f"On which side is {lesion.the}?", right, (wrong,), (lesion.said(), Remark(f"It is on the {right}.")), True
    )


def half(view: View) -> Draft | None:
    """Front or back, upper or lower, of the picture or volume."""
    lesion, axis = view.one(view.lesions), view.axes[-1]
    if lesion is None or lesion.count > 1:
        return None
    gap = lesion.centre_mm[axis] - middle_mm(view)[axis]
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
    """Left or right of it, and of another structure: the right one is not the only one with a twin."""
    lesion = view.one([lesion for lesion in view.lesions if is_sided(lesion.host) and lesion.host not in ENVELOPE])
    if lesion is None:
        return None
    mine = (lesion.host, twin(lesion.host))
    other = view.one([thing for thing in view.structures if is_sided(thing.name) and thing.name not in mine])
    if other is None:
        return None
    rationale = (lesion.said(), Remark(f"It is in the {lesion.host}."))
    return Draft(
        f"In which structure is {lesion.the}?", lesion.host, (mine[1], other.name, twin(other.name)), rationale, True
    )
