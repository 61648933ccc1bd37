"""What a study shows, as whole masks, and which answers are true of it: by another road than the one that asked.

Nothing of `things`, `families` or `exchange` is used: outlines are painted into whole arrays, and counted there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import ndimage as ndi

from components.data.sources.case import Labelled
from components.data.sources.ontology import entry
from model.imaging.volume import SLICE_AXIS
from model.interface.boxes import Box

NEAR = 0.4
"""Intersection over union under which a wrong box is wrong enough."""
INSIDE = 0.7
"""Share of a thing in another from which on it lies in it."""
LENGTH = {"less than 10 mm": (0, 10), "10 to 20 mm": (10, 20), "20 to 40 mm": (20, 40), "more than 40 mm": (40, 1e9)}
THIRDS = ("lower third", "middle third", "upper third")
WAYS = {
    "relation x": {"to the right of": 1, "to the left of": -1},
    "relation y": {"in front of": 1, "behind": -1},
    "relation z": {"above": 1, "below": -1},
}
"""By what is asked: what it is called to lie further along the axis, and less far."""
SIDES = ("left", "right")
ANSWERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("seen", "lesion seen", "inside"), ("Yes", "No")),
    **dict.fromkeys(("side", "larger side", "higher side"), SIDES),
    **{ask: tuple(ways) for ask, ways in WAYS.items()},
    "third": THIRDS,
    "quarter": tuple(f"{row} {side} quarter of the picture" for row in ("upper", "lower") for side in SIDES),
    "number": ("one", "several"),
    "diameter": tuple(LENGTH),
}
"""By what is asked, where names are no answers: all there are."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What a study shows."""

    masks: Mapping[str, np.ndarray]
    """bool (x, y, z), the study's own grid."""
    shape: tuple[int, ...]
    spacing: np.ndarray
    """mm; 1 where it is unknown."""
    sought: frozenset[str]
    """Names whose absence means something."""
    names: frozenset[str]
    """All that the set could speak of, doubtful ones too."""
    plane: str
    flat: bool
    sides: bool
    found: dict[str, np.ndarray] = field(default_factory=dict)
    """Places that were looked up."""

    @classmethod
    def of(cls, labelled: Labelled, study: str, plane: str) -> "Truth":
        """study: its name, whose end tells a slice; plane: of the study as it is stored."""
        whole = labelled.volume
        masks = {outline.name: outline.mask(whole.shape) for outline in labelled.outlines}
        shape = list(whole.shape)
        cut = study.count("-") == 2
        if cut:
            at, axis = int(study.rsplit("-", 1)[1]), SLICE_AXIS[plane]
            masks = {name: np.take(mask, [at], axis) for name, mask in masks.items()}
            shape[axis] = 1
        return cls(
            masks=masks,
            shape=tuple(shape),
            spacing=np.array(whole.spacing_mm if whole.spacing_known else (1.0, 1.0, 1.0)),
            sought=labelled.sought - labelled.doubtful,
            names=labelled.sought | labelled.doubtful,
            plane=plane,
            flat=cut or whole.dimension == 2,
            sides=labelled.sides == "patient" and whole.frame_known,
        )

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(a for a in range(3) if not (self.flat and a == SLICE_AXIS[self.plane]))

    @property
    def longest_side(self) -> float:
        """Of the picture or volume, mm."""
        return max(self.shape[axis] * float(self.spacing[axis]) for axis in self.axes)

    def places(self, name: str) -> np.ndarray:
        """int[n, 3], every voxel of it."""
        if name not in self.found:
            self.found[name] = np.argwhere(self.masks[name])
        return self.found[name]

    def box(self, name: str) -> Box:
        places = self.places(name)
        return Box.of((*places.min(0).tolist(), *(places.max(0) + 1).tolist()))

    def centre(self, name: str) -> np.ndarray:
        return self.places(name).mean(0) + 0.5

    def size(self, name: str) -> int:
        return len(self.places(name))

    def share(self, of: str, inside: str) -> float:
        return float(self.masks[inside][tuple(self.places(of).T)].mean())

    def pieces(self, name: str) -> int:
        return int(ndi.label(self.masks[name], np.ones((3, 3, 3)))[1])  # pyright: ignore[reportArgumentType, reportIndexIssue]

    @cached_property
    def here(self) -> set[str]:
        return {name for name, mask in self.masks.items() if mask.any()}

    @cached_property
    def lesions(self) -> set[str]:
        return {name for name in self.here if entry(name).kind == "lesion"}


def answers(ask: str, about: Sequence[str], truth: Truth) -> tuple[str, ...]:
    """All that may be answered in words: "host" by any structure that is here, "kind" by any lesion or "none"."""
    if ask == "larger":
        return tuple(about)
    if ask == "host":
        return tuple(sorted(truth.here - truth.lesions))
    return ("none", *sorted(truth.lesions)) if ask == "kind" else ANSWERS.get(ask, ())


def holds(ask: str, about: Sequence[str], answer: str | Box, truth: Truth) -> bool | None:
    """Whether an answer is true; None where it is neither true nor false beyond doubt."""
    one = about[0] if about else ""
    if isinstance(answer, Box):
        return _box_holds(answer, truth.box(one)) if ask == "which box" else False
    if answer not in answers(ask, about, truth):
        return False
    match ask:
        case "seen" | "lesion seen":
            return one in truth.here if answer == "Yes" else one not in truth.here and one in truth.sought
        case "kind":
            return truth.lesions == (set() if answer == "none" else {answer})
        case "larger side" | "higher side":
            first, second = (f"{side} {one}" for side in (SIDES if answer == "left" else SIDES[::-1]))
            if ask == "larger side":
                return truth.size(first) > truth.size(second)
            return bool(truth.centre(first)[2] > truth.centre(second)[2])
        case "larger":
            return truth.size(answer) > truth.size(about[1] if answer == one else one)
        case "inside":
            share = truth.share(one, about[1])
            return (answer == "Yes") if share >= INSIDE else (answer == "No") if share == 0 else None
        case "relation x" | "relation y" | "relation z":
            gap = (truth.centre(one) - truth.centre(about[1]))["xyz".index(ask[-1])]
            return bool(gap * WAYS[ask][answer] > 0)
    return _place_holds(ask, one, answer, truth)


def _box_holds(box: Box, truth: Box) -> bool | None:
    if box == truth:
        return True
    low, high = np.maximum(box.low, truth.low), np.minimum(box.high, truth.high)
    both = float(np.prod(np.maximum(high - low, 0)))
    return False if both / (np.prod(box.size) + np.prod(truth.size) - both) < NEAR else None


def _place_holds(ask: str, name: str, answer: str, truth: Truth) -> bool | None:
    centre = truth.centre(name)
    match ask:
        case "side":
            told = (entry(n) for n in truth.here)
            pairs = [(e.name, e.partner) for e in told if e.side == "left" and e.kind == "structure" and e.system]
            pairs = [(a, b) for a, b in pairs if entry(a).system != "heart"]  # whose sides are names
            # only structures wholly in view tell where the middle is
            pairs = [(a, b) for a, b in pairs if b in truth.here and not _cut(truth, a) and not _cut(truth, b)]
            middle = np.mean([(truth.centre(a)[0] + truth.centre(b)[0]) / 2 for a, b in pairs]) if pairs else None
            return None if middle is None else bool((centre[0] > middle) == (answer == "right"))
        case "host":
            return truth.share(name, answer) >= INSIDE
        case "third":
            return THIRDS.index(answer) == int(3 * centre[2] / truth.shape[2])
        case "quarter":
            return answer == f"{_quarter(centre / truth.shape, truth)} quarter of the picture"
        case "number":
            return (truth.pieces(name) == 1) == (answer == "one")
        case "diameter":
            longest = max(np.array(truth.box(name).size)[list(truth.axes)] * truth.spacing[list(truth.axes)])
            low, high = LENGTH[answer]
            return bool(low <= longest < high)
    return None


def _quarter(at: np.ndarray, truth: Truth) -> str:
    """As shown: an image as it is, a slice of a body with its right, or its front, at the left and its top up."""
    across, down = (at[a] if truth.plane == "image" else 1 - at[a] for a in truth.axes)
    return f"{'lower' if down > 0.5 else 'upper'} {'right' if across > 0.5 else 'left'}"


def _cut(truth: Truth, name: str) -> bool:
    mask = truth.masks[name]
    return any(np.take(mask, k, axis).any() for axis in truth.axes for k in (0, -1))
