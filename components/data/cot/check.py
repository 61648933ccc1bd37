"""Every sample worked out again, from whole masks, by another road than the one that made it.

The cases are opened again, their outlines painted into whole arrays, and each question's boxes, answer, wrong options,
words and sides compared with what those arrays say. Nothing of `things`, `families` or `exchange` is used.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache

import numpy as np
from scipy import ndimage as ndi

from components.data.cot import receipts, studies
from components.data.cot.plan import CotConfig, Shard, plan
from components.data.cot.wording import Words, filled_in
from components.data.cot.workers import pool
from components.data.sources.case import Labelled
from components.data.sources.ontology import entry
from model.imaging import shards
from model.imaging.volume import SLICE_AXIS
from model.interface.boxes import Box
from model.interface.grammar import THINK_OPEN, parse, write_answer, write_box
from model.interface.prompt import filled
from model.interface.question import Question

ASKED = re.compile(r"; asked: (?P<ask>[^;]+); about: (?P<about>.+)\Z")
NOTE = re.compile(r" The longest side of the (?:picture|volume) is \d+ mm\.\Z")
NEAR = 0.4
"""Intersection over union under which a wrong box is wrong enough."""
LENGTH = {"less than 10 mm": (0, 10), "10 to 20 mm": (10, 20), "20 to 40 mm": (20, 40), "more than 40 mm": (40, 1e9)}
AXIS = {"x": 0, "y": 1, "z": 2}
UP = {"to the right of": 1, "in front of": 1, "above": 1, "to the left of": -1, "behind": -1, "below": -1}


@dataclass(frozen=True, slots=True)
class Fault:
    """A sample that is not as the masks say."""

    question: str
    what: str


def check(config: CotConfig) -> tuple[int, list[Fault]]:
    """(samples checked, what is wrong) of a finished build."""
    receipts.check_finished(config.out)
    shards.verify(config.out)
    todo = plan(config)
    with pool(config.workers) as processes:
        found = list(processes.map(check_shard, todo, [config] * len(todo)))
    return sum(n for n, _ in found), [fault for _, faults in found for fault in faults]


def check_shard(shard: Shard, config: CotConfig) -> tuple[int, list[Fault]]:
    asked: dict[str, list[Question]] = {}
    samples = shards.read_questions(config.out, shard.name)
    for question in samples:
        asked.setdefault(question.study, []).append(question)
    cases = {studies.digest_of(case): case for case in shard.cases}
    faults: list[Fault] = []
    opened: tuple[str, Labelled] | None = None
    for study in shards.read_studies(config.out, shard.name):
        if study.id not in asked:
            continue
        if opened is None or opened[0] != study.group:
            opened = study.group, cases[study.group].open()
        truth = Truth.of(opened[1], study.id, study.volume.plane)
        for question in asked.pop(study.id):
            faults += [Fault(question.id, what) for what in wrong(question, truth)]
    faults += [Fault(q.id, "its study is not stored") for rest in asked.values() for q in rest]
    return len(samples), faults


@lru_cache(maxsize=4096)
def sentences(ask: str, about: tuple[str, ...]) -> frozenset[str]:
    """All the words a question may have."""
    names = dict(zip("ab", about, strict=False))
    return frozenset(filled_in(sentence, **names) for sentence in _words().sentences["ask", ask])


@cache
def _words() -> Words:
    return Words()


@dataclass(frozen=True, eq=False)
class Truth:
    """What a study shows, as whole masks."""

    masks: Mapping[str, np.ndarray]
    """bool (x, y, z), the study's own grid."""
    spacing: np.ndarray
    sought: frozenset[str]
    """Names whose absence means something."""
    plane: str
    flat: bool
    sides: bool
    found: dict[str, np.ndarray] = field(default_factory=dict)
    """Places that were looked up."""

    @classmethod
    def of(cls, labelled: Labelled, study: str, plane: str) -> "Truth":
        whole = labelled.volume
        masks = {outline.name: outline.mask(whole.shape) for outline in labelled.outlines}
        cut = study.count("-") == 2
        if cut:
            at = int(study.rsplit("-", 1)[1])
            masks = {name: np.take(mask, [at], SLICE_AXIS[plane]) for name, mask in masks.items()}
        spacing = np.array(whole.spacing_mm if whole.spacing_known else (1.0, 1.0, 1.0))
        flat = cut or whole.dimension == 2
        return cls(
            masks,
            spacing,
            labelled.sought - labelled.doubtful,
            plane,
            flat,
            labelled.sides == "patient" and whole.frame_known,
        )

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(a for a in range(3) if not (self.flat and a == SLICE_AXIS[self.plane]))

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
        return float((self.masks[of] & self.masks[inside]).sum() / self.masks[of].sum())

    def pieces(self, name: str) -> int:
        return int(ndi.label(self.masks[name], np.ones((3, 3, 3)))[1])  # pyright: ignore[reportArgumentType, reportIndexIssue]

    @cached_property
    def here(self) -> set[str]:
        return {name for name, mask in self.masks.items() if mask.any()}

    @cached_property
    def lesions(self) -> set[str]:
        return {name for name in self.here if entry(name).kind == "lesion"}


def wrong(question: Question, truth: Truth) -> Iterator[str]:
    """Everything about a question that isn't so."""
    told = ASKED.search(question.provenance)
    if not told:
        yield "its provenance doesn't say what is asked"
        return
    ask, about = told["ask"], [] if told["about"] == "lesions" else told["about"].split(", ")
    yield from _wrong_form(question, ask, about)
    yield from _wrong_trace(question, truth)
    absent = _needed(ask, about) - truth.here
    if absent:
        yield f"{', '.join(sorted(absent))} is not here, and is asked about: {ask}"
        return
    right = _right(question)
    options = list(question.options) if question.options else [right]
    for k, option in enumerate(options):
        is_right = k == question.answer if question.options else True
        value = question.regions[int(option[1:-1])] if option.startswith("{") else option
        if holds(ask, about, value, truth) is not is_right:
            yield f"{ask} about {about}: {option!r} is said to be {'right' if is_right else 'wrong'}"


def _needed(ask: str, about: Sequence[str]) -> set[str]:
    """What must be there for a question to have an answer."""
    if ask in ("seen", "lesion seen"):
        return set()
    return {f"{side} {about[0]}" for side in ("left", "right")} if ask.endswith(" side") else set(about)


def _right(question: Question) -> str:
    return question.reply if question.answer is None else question.options[question.answer]


def _wrong_form(question: Question, ask: str, about: list[str]) -> Iterator[str]:
    if question.answer is None if question.options else not question.reply:
        yield "it has no answer"
    if len(set(question.options)) < len(question.options) or len(set(question.regions)) < len(question.regions):
        yield "two options are the same"
    worded = "where" if ask == "which box" and not question.options else ask
    if NOTE.sub("", question.text) not in sentences(worded, tuple(about)):
        yield f"its words are not of the grammar: {question.text!r}"


def _wrong_trace(question: Question, truth: Truth) -> Iterator[str]:
    """Read as the model's answer would be."""
    said = " ".join(f"{r.text} {write_box(r.box, flat=truth.flat)}" if r.box else r.text for r in question.rationale)
    reply = filled(_right(question), question.regions, flat=truth.flat)
    read = parse(f"{THINK_OPEN}{said}{write_answer(question.letter or '', reply)}")
    if read.flaws or read.choice != question.letter:
        yield f"its trace is read as {read.choice} with {[flaw.reason for flaw in read.flaws]}"
    boxes = [remark for remark in question.rationale if remark.box]
    if len(read.evidence) != len(boxes):
        yield f"{len(read.evidence)} boxes are read, {len(boxes)} were meant"
    for remark in boxes:
        names = truth.lesions if remark.names == "lesion" else {remark.names}
        if not any(name in truth.here and truth.box(name) == remark.box for name in names):
            yield f"{remark.names} is not at {remark.box}"
    for name in {remark.names for remark in boxes} if truth.sides and 0 in truth.axes else ():
        pair = name, entry(name).partner
        if (
            entry(name).side == "left"
            and set(pair) <= truth.here
            and truth.centre(pair[0])[0] > truth.centre(pair[1])[0]
        ):
            yield f"{pair[0]} lies right of {pair[1]}"


def holds(ask: str, about: Sequence[str], answer: str | Box, truth: Truth) -> bool | None:
    """Whether an answer is true; None where it is neither true nor false beyond doubt."""
    one = about[0] if about else ""
    if ask in ("seen", "lesion seen"):
        if answer == "No":
            return one not in truth.here and one in truth.sought
        return one in truth.here
    if ask == "which box":
        assert isinstance(answer, Box)
        return _box_holds(answer, truth.box(one))
    if ask == "kind":
        return truth.lesions == (set() if answer == "none" else {answer})
    if ask in ("larger side", "higher side"):
        left, right = f"left {one}", f"right {one}"
        first, second = (left, right) if answer == "left" else (right, left)
        if ask == "larger side":
            return truth.size(first) > truth.size(second)
        return bool(truth.centre(first)[2] > truth.centre(second)[2])
    if ask == "larger":
        other = about[1] if answer == one else one
        return truth.size(str(answer)) > truth.size(other)
    if ask == "inside":
        share = truth.share(one, about[1])
        return (answer == "Yes") if share >= 0.7 else (answer == "No") if share == 0 else None
    if ask.startswith("relation"):
        gap = truth.centre(one)[AXIS[ask[-1]]] - truth.centre(about[1])[AXIS[ask[-1]]]
        return bool(gap * UP[str(answer)] > 0)
    return _place_holds(ask, one, str(answer), truth)


def _box_holds(box: Box, truth: Box) -> bool | None:
    if box == truth:
        return True
    low, high = np.maximum(box.low, truth.low), np.minimum(box.high, truth.high)
    both = float(np.prod(np.maximum(high - low, 0)))
    return False if both / (np.prod(box.size) + np.prod(truth.size) - both) < NEAR else None


def _place_holds(ask: str, name: str, answer: str, truth: Truth) -> bool | None:
    centre, shape = truth.centre(name), np.array(truth.masks[name].shape)
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
            return answer in truth.here and truth.share(name, answer) >= 0.7
        case "third":
            return ("lower third", "middle third", "upper third").index(answer) == int(3 * centre[2] / shape[2])
        case "quarter":
            return answer == f"{_quarter(centre / shape, truth)} quarter of the picture"
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
