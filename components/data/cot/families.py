"""What can be asked about one study: proposals in six families, each with a margin that puts its answer beyond doubt.

    structure localisation   which of these boxes holds it
    spatial localisation     side of the body, host structure, third of the slices, quarter of the picture
    existence verification   a structure or lesion that is outlined, or would have been
    size comparison          the larger of two, by a quarter at least
    spatial relationship     centres well apart along the axis asked about; inside or outside
    lesion analysis          kind, number, length

A proposal is no question yet: `exchange` puts those together that are worded alike and answered differently. Left and
right are the patient's, but in a picture whose frame is unknown, where only quarters of the picture are spoken of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from zlib import crc32

import numpy as np

from components.data.cot.things import Sight, Thing
from components.data.cot.wording import with_article
from components.data.sources.calibration import CROSSWISE
from components.data.sources.ontology import Entry, entry, is_plural
from model.interface.boxes import Box

SIZE_RATIO = 1.25
GAP_MM, GAP_SHARE = 10.0, 0.06
"""Between centres along an axis: mm, or a share of the picture's side where the spacing is unknown."""
EDGE_SHARE = 0.04
"""Of the picture's side: least distance of a centre from a line between thirds or quarters."""
LENGTHS_MM = (10.0, 20.0, 40.0)
LENGTHS = ("less than 10 mm", "10 to 20 mm", "20 to 40 mm", "more than 40 mm")
LENGTH_MARGIN = 0.08
"""Of a length: least distance from a border between two classes."""
THIRDS = ("lower third", "middle third", "upper third")
ONE_PAIR_IN = 8
"""Share of the pairs of structures that are compared. Which, their names decide: so the same pairs come back in the
next study, where the answer may be another."""
ABSENT = 12
"""Most names of which absence is proposed; drawn from the study's own stream."""
WAYS = (("to the left of", "to the right of"), ("behind", "in front of"), ("below", "above"))
"""By axis (RAS+): what lies at the lower and at the higher coordinate."""


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of a rationale before it is worded."""

    role: str
    """ "box" or "conclude", as `wording.Words.sentences` has them."""
    key: str
    a: str = ""
    """What it speaks of: of a box, the name of what is in it."""
    b: str = ""
    word: str = ""
    """What is concluded."""
    box: Box | None = None
    kind: str = ""
    """Of what is in the box."""


@dataclass(frozen=True, slots=True)
class Proposal:
    sight: Sight
    family: str
    ask: str
    """Key of `wording.QUESTIONS`."""
    about: tuple[str, ...]
    """The names in its words."""
    answer: str | Box
    rationale: tuple[Said, ...]
    laterality: bool
    """Its words need the patient's left and right."""

    @property
    def note(self) -> str:
        """What the words must say beside the question: a length in mm can't be read off a picture alone."""
        if self.ask != "diameter":
            return ""
        sides = [self.sight.shape[axis] * self.sight.spacing_mm[axis] for axis in self.sight.axes]
        return (
            f" The longest side of the {'volume' if self.sight.dimension == 3 else 'picture'} is {max(sides):.0f} mm."
        )

    @property
    def key(self) -> tuple:
        """All that a reader of the words knows: whatever has the same key can share words and options."""
        shape = self.sight.shape if isinstance(self.answer, Box) else ()
        return self.sight.dimension, self.ask, self.about, self.note, shape, self.sight.plane if shape else ""


def proposals(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    """All there is to ask about a study, in a fixed order."""
    for family in (_boxes, _places, _existence, _sizes, _relations, _lesions):
        yield from family(sight, random)


# Structure localisation


def _boxes(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    for thing in sight.things:
        if thing.pieces == 1 and _may_be_named(sight, thing):
            said = *_around(sight, thing), _at(thing)
            yield _proposal(sight, "structure localisation", "which box", (thing,), thing.box, said)


# Spatial localisation


def _places(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    middle = _midline(sight)
    for thing in sight.things:
        if thing.pieces != 1 or thing.cut or not _may_be_named(sight, thing):
            continue
        if middle is not None and not thing.entry.side:
            gap = thing.centre[0] - middle
            if abs(gap) >= _gap(sight, 0):
                side = "right" if gap > 0 else "left"
                yield _told(sight, "spatial localisation", "side", (thing,), side, laterality=True)
        if sight.dimension == 3:
            yield from _third(sight, thing)
        else:
            yield from _quarter(sight, thing)
        if thing.host and (sight.shows_sides or not entry(thing.host).side):
            yield _told(sight, "spatial localisation", "host", (thing,), thing.host)


def _third(sight: Sight, thing: Thing) -> Iterator[Proposal]:
    at = thing.centre[2] / sight.shape[2]
    if sight.sides and min(abs(at - 1 / 3), abs(at - 2 / 3)) >= EDGE_SHARE:
        yield _told(sight, "spatial localisation", "third", (thing,), THIRDS[int(3 * at)])


def _quarter(sight: Sight, thing: Thing) -> Iterator[Proposal]:
    """As displayed (`model/imaging/frame.py`): where the frame is known, columns and rows run against the axes."""
    across, down = (thing.centre[axis] / sight.shape[axis] for axis in sight.axes)
    if sight.plane != "image":
        across, down = 1 - across, 1 - down
    if min(abs(across - 0.5), abs(down - 0.5)) >= EDGE_SHARE:
        word = f"{'upper' if down < 0.5 else 'lower'} {'left' if across < 0.5 else 'right'} quarter of the picture"
        yield _told(sight, "spatial localisation", "quarter", (thing,), word)


def _midline(sight: Sight) -> float | None:
    """x of the body's middle, from paired structures that are wholly in view; None where there is none."""
    if not sight.shows_sides:
        return None
    whole = {thing.name: thing for thing in sight.structures if not thing.cut and tells_sides(thing.entry)}
    pairs = [(t, whole[t.entry.partner]) for t in whole.values() if t.entry.side == "left" and t.entry.partner in whole]
    return float(np.mean([(a.centre[0] + b.centre[0]) / 2 for a, b in pairs])) if pairs else None


# Existence verification


def _existence(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    for thing in sight.things:
        if sight.shows_sides or not thing.entry.side:
            yield _proposal(sight, "existence verification", _seen(thing.entry.kind), (thing,), "Yes", (_at(thing),))
    absent = [name for name in sight.absent if sight.shows_sides or not entry(name).side]
    for k in sorted(random.permutation(len(absent))[:ABSENT].tolist()):
        kind = entry(absent[k])
        last = Said("conclude", "no lesion" if kind.kind == "lesion" else "unseen", kind.name)
        said = *(_at(thing) for thing in _beside(sight, kind)), last
        yield Proposal(sight, "existence verification", _seen(kind.kind), (kind.name,), "No", said, bool(kind.side))


def _beside(sight: Sight, kind: Entry) -> list[Thing]:
    """Negative evidence: its partner if that is here, else the largest thing of its organ system."""
    partner = sight.named(kind.partner)
    kin = [thing for thing in sight.structures if thing.entry.system == kind.system and _may_be_named(sight, thing)]
    return [partner] if partner else sorted(kin, key=lambda thing: -thing.size)[:1]


def tells_sides(kind: Entry) -> bool:
    """It has a side, and lies on it: of a heart's chambers left and right are names."""
    return bool(kind.side and kind.system) and kind.system not in CROSSWISE


def _seen(kind: str) -> str:
    return "lesion seen" if kind == "lesion" else "seen"


# Size comparison


def _sizes(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    whole = [thing for thing in sight.things if not thing.cut and _may_be_named(sight, thing)]
    for a, b in _partners(sight, whole):
        if _differ(a, b):
            word = "left" if a.size > b.size else "right"
            bare = a.name.removeprefix("left ")
            said = _at(a), _at(b), Said("conclude", "larger side", bare, word=word)
            yield Proposal(sight, "size comparison", "larger side", (bare,), word, said, True)
    for a, b in _pairs(whole):
        if _differ(a, b):
            larger = a if a.size > b.size else b
            said = _at(a), _at(b), Said("conclude", "larger", word=larger.name)
            yield _proposal(sight, "size comparison", "larger", (a, b), larger.name, said)


def _differ(a: Thing, b: Thing) -> bool:
    return max(a.size, b.size) >= SIZE_RATIO * min(a.size, b.size)


# Spatial relationship


def _relations(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    if not sight.sides:
        return
    whole = [thing for thing in sight.things if not thing.cut and thing.pieces == 1]
    for a, b in _pairs(whole):
        for axis in sight.axes:
            gap = a.centre[axis] - b.centre[axis]
            if abs(gap) >= _gap(sight, axis):
                way = WAYS[axis][int(gap > 0)]
                said = _at(a), _at(b), Said("conclude", "relation", a.name, b.name, way)
                yield _proposal(sight, "spatial relationship", f"relation {'xyz'[axis]}", (a, b), way, said, axis == 0)
    if 2 in sight.axes:
        for a, b in _partners(sight, whole):
            gap = a.centre[2] - b.centre[2]
            if abs(gap) >= _gap(sight, 2) / 2:
                word = "left" if gap > 0 else "right"
                bare = a.name.removeprefix("left ")
                said = _at(a), _at(b), Said("conclude", "higher side", bare, word=word)
                yield Proposal(sight, "spatial relationship", "higher side", (bare,), word, said, True)
    for lesion in (thing for thing in sight.lesions if thing.pieces == 1):
        for thing in sight.structures:
            inside = lesion.host == thing.name
            if inside or thing.name in lesion.outside:
                word = "inside" if inside else "outside"
                said = _at(lesion), _at(thing), Said("conclude", "inside", lesion.name, thing.name, word)
                answer = "Yes" if inside else "No"
                yield _proposal(sight, "spatial relationship", "inside", (lesion, thing), answer, said)


# Lesion analysis


def _lesions(sight: Sight, random: np.random.Generator) -> Iterator[Proposal]:
    kinds = {lesion.name for lesion in sight.lesions}
    if len(kinds) == 1 and sight.lesions_told:
        lesion = sight.lesions[0]
        last = Said("conclude", "kind", lesion.name, word=with_article(lesion.name))
        said = Said("box", "at", "lesion", box=lesion.box, kind="lesion"), last
        yield Proposal(sight, "lesion analysis", "kind", (), lesion.name, said, False)
    elif not kinds and sight.lesions_told:
        yield Proposal(sight, "lesion analysis", "kind", (), "none", (Said("conclude", "healthy"),), False)
    for lesion in (thing for thing in sight.lesions if not thing.cut):
        if lesion.pieces and not is_plural(lesion.name):  # "one or several nodules" is no question
            yield _told(sight, "lesion analysis", "number", (lesion,), "one" if lesion.pieces == 1 else "several")
        if lesion.pieces == 1 and sight.spacing_known:
            longest = max(lesion.box.size[axis] * sight.spacing_mm[axis] for axis in sight.axes)
            if all(abs(longest - border) >= LENGTH_MARGIN * longest for border in LENGTHS_MM):
                answer = LENGTHS[int(np.searchsorted(LENGTHS_MM, longest))]
                yield _told(sight, "lesion analysis", "diameter", (lesion,), answer)


# What they share


def _told(
    sight: Sight, family: str, ask: str, about: tuple[Thing, ...], answer: str, *, laterality: bool = False
) -> Proposal:
    """A thing is pointed at, then the answer follows in words."""
    said = *(_at(thing) for thing in about), Said("conclude", ask, about[0].name, word=answer)
    return _proposal(sight, family, ask, about, answer, said, laterality)


def _proposal(
    sight: Sight,
    family: str,
    ask: str,
    about: tuple[Thing, ...],
    answer: str | Box,
    said: tuple[Said, ...],
    laterality: bool = False,
) -> Proposal:
    sided = laterality or any(thing.entry.side for thing in about)
    return Proposal(sight, family, ask, tuple(thing.name for thing in about), answer, said, sided)


def _at(thing: Thing) -> Said:
    return Said("box", "at", thing.name, box=thing.box, kind=thing.entry.kind)


def _around(sight: Sight, thing: Thing) -> tuple[Said, ...]:
    """The host of a lesion, looked at first."""
    host = sight.named(thing.host) if thing.host else None
    if not host or not _may_be_named(sight, host):
        return ()
    return (Said("box", "around", host.name, thing.name, box=host.box, kind="structure"),)


def _may_be_named(sight: Sight, thing: Thing) -> bool:
    """A name with a side in it says nothing where the patient's sides are unknown."""
    return sight.sides or not thing.entry.side


def _partners(sight: Sight, whole: Sequence[Thing]) -> Iterator[tuple[Thing, Thing]]:
    """(left, right) of each pair, where both can be told apart."""
    if sight.shows_sides:
        by_name = {thing.name: thing for thing in whole}
        for thing in whole:
            if thing.entry.side == "left" and thing.entry.partner in by_name:
                yield thing, by_name[thing.entry.partner]


def _pairs(whole: Sequence[Thing]) -> Iterator[tuple[Thing, Thing]]:
    """Every lesion with every structure, and some pairs of structures, in the order of their names."""
    ordered = sorted(whole, key=lambda thing: thing.name)
    for a, b in combinations(ordered, 2):
        if a.entry.partner == b.name:
            continue
        if a.is_lesion != b.is_lesion:
            yield (a, b) if a.is_lesion else (b, a)
        elif not a.is_lesion and crc32(f"{a.name}|{b.name}".encode()) % ONE_PAIR_IN == 0:
            yield a, b


def _gap(sight: Sight, axis: int) -> float:
    """Least distance of two centres along an axis, voxels."""
    return GAP_MM / sight.spacing_mm[axis] if sight.spacing_known else GAP_SHARE * sight.shape[axis]
