"""Gates that a data set passes before anything is trained on it: people, pictures, known sets, sides, schema.

Each gate reads all of it, then raises BadInput with the number of samples that fail and the names of the first few.
People and sets are to be checked by their own ids, before a build replaces those by digests.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np

from components.data.duplicates import Print, near_pairs
from components.data.sources.calibration import CROSSWISE, MARGIN
from components.data.sources.ontology import entry
from model.imaging.shards import Study
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.question import FAMILIES, Question

NAMED = 5
"""Samples an error names."""
KEPT = "shards that are made are kept"
MOST_CROSSED = 0.1
"""Of a set's checked cases. An adapter gives up the sides of a case whose pairs contradict its frame; where that is so
of many, a frame that nothing could check isn't to be believed either."""
BDMAP = re.compile(r"BDMAP_0*(\d+)")
CT_RATE = re.compile(r"(train|valid|test)_(?:fixed_)?(\d+)(?:_.*)?")
SAME_PEOPLE = {
    "abdomenatlas": (BDMAP, "BDMAP"),
    "deep_tumor_vqa": (BDMAP, "BDMAP"),
    "ct_rate": (CT_RATE, "CT-RATE"),
    "rad3d": (CT_RATE, "CT-RATE"),
    "radgenome_chestct": (CT_RATE, "CT-RATE"),
}
"""Source -> how its subjects are written, and the set whose people they are: one id is one person in all of them."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two sets that share people under names nobody can match."""

    why: str
    one: tuple[tuple[str, str], ...]
    """(source, how its subjects begin, a pattern): "" for all of them."""
    other: tuple[tuple[str, str], ...]


MSD_CT = ("msd", "(?i)(liver|pancreas|spleen|hepaticvessel|colon|lung)")
OVERLAPS = (
    Overlap("MSD Task01 is BraTS 2016 and 2017 renamed", (("msd", "(?i)brats"),), (("brats", ""),)),
    Overlap(
        "AbdomenAtlas, and so DeepTumorVQA, holds other public CT sets",
        (("abdomenatlas", ""), ("deep_tumor_vqa", "")),
        (MSD_CT, ("amos22", ""), ("m3d_seg", "")),
    ),
    Overlap(
        "M3D-Seg is made of public CT sets",
        (("m3d_seg", ""),),
        (MSD_CT, ("amos22", ""), ("totalsegmentator", "")),
    ),
    Overlap("SA-Med2D holds AMOS22", (("sa_med2d", "(?i)amos"),), (("amos22", ""),)),
    Overlap("SA-Med2D holds TotalSegmentator", (("sa_med2d", "(?i)total"),), (("totalsegmentator", ""),)),
    Overlap("SA-Med2D holds BraTS", (("sa_med2d", "(?i)brats"),), (("brats", ""), ("msd", "(?i)brats"))),
    Overlap("SA-Med2D and OmniMedVQA use the same sets", (("sa_med2d", ""),), (("omni_med_vqa", ""),)),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is asked of a sample here."""

    id: str
    source: str
    subject: str
    """As the source names the person."""
    split: str


class Outlined(Protocol):
    """A named region, as `sources.case.Outline` is one."""

    @property
    def name(self) -> str: ...
    @property
    def low(self) -> tuple[int, int, int]: ...
    @property
    def inside(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What a question must agree with: facts of a stored study."""

    subject: str
    split: str
    dimension: int
    shape: tuple[int, int, int]
    """(x, y, z), voxels."""
    frame_known: bool

    @classmethod
    def of(cls, study: Study) -> "Stored":
        volume = study.volume
        return cls(study.subject, study.split, volume.dimension, volume.shape, volume.frame_known)


def person(source: str, subject: str) -> str:
    """One name for one person, in whichever of the known sets they are."""
    if source in SAME_PEOPLE:
        pattern, name = SAME_PEOPLE[source]
        if found := pattern.fullmatch(subject):
            # 3D-RAD calls CT-RATE's valid_1 test_1
            return " ".join((name, *(part.replace("test", "valid") for part in found.groups())))
    return f"{source}:{subject}"


def check_people(entries: Iterable[Entry]) -> None:
    """No person is in two splits, whichever set they come from."""
    first: dict[str, Entry] = {}
    faults = []
    for one in entries:
        met = first.setdefault(person(one.source, one.subject), one)
        if met.split != one.split:
            faults.append(f"{one.id} in {one.split} and {met.id} in {met.split}")
    _refuse("a person is in two splits", faults, "give all of a person's samples to one split")


def check_sets(entries: Iterable[Entry], overlaps: Sequence[Overlap] = OVERLAPS) -> None:
    """Sets known to share people are in one split together, or not together."""
    seen: dict[tuple[int, int], dict[str, Entry]] = defaultdict(dict)
    for one in entries:
        for k, overlap in enumerate(overlaps):
            for side, members in enumerate((overlap.one, overlap.other)):
                if any(one.source == source and re.match(begin, one.subject) for source, begin in members):
                    seen[k, side].setdefault(one.split, one)
    faults = []
    for k, overlap in enumerate(overlaps):
        for a in seen[k, 0].values():
            faults += [
                f"{a.source} {a.id} in {a.split}, {b.source} {b.id} in {b.split} ({overlap.why})"
                for b in seen[k, 1].values()
                if a.split != b.split
            ]
    _refuse("two sets that share people are in two splits", faults, "use one of the sets, or both in one split")


def check_pictures(entries: Sequence[Entry], prints: Sequence[Print]) -> int:
    """No picture is nearly one of another split; returns the pairs within a split, of different people.

    prints: `duplicates.print_of` each entry's study.
    """
    within, across = 0, []
    for i, j in near_pairs(prints):
        a, b = entries[i], entries[j]
        if a.split != b.split:
            across.append((i, j))
        else:
            within += person(a.source, a.subject) != person(b.source, b.subject)
    pairs = ((entries[i], entries[j]) for i, j in sorted(across))
    faults = [f"{a.id} in {a.split} and {b.id} in {b.split}" for a, b in pairs]
    _refuse(
        "pictures of two splits are nearly one picture", faults, "keep one of each pair, or both in one split", KEPT
    )
    return within


def check_sides(studies: Iterable[tuple[str, Sequence[Outlined], int]]) -> None:
    """Of every pair of organs, left lies to the patient's left of right.

    studies: (id, outlines in RAS+ voxels, voxels along x) of each whose frame is known.
    """
    faults = [f"{name}: {pair}" for name, outlines, width in studies for pair in crossed(outlines, width)]
    _refuse("sides are labelled the wrong way round", faults, "mirror the labels, or leave the study out")


def crossed(outlines: Sequence[Outlined], width: int) -> list[str]:
    """Names of left structures that lie clearly to the right of their partners."""
    # x ascends to the patient's right
    return [left.name for left, right in paired(outlines) if _middle(left) > _middle(right) + MARGIN * width]


def paired(outlines: Sequence[Outlined]) -> list[tuple[Outlined, Outlined]]:
    """(left, right) of each pair that is there and tells sides."""
    there = {outline.name: outline for outline in outlines}
    kinds = [(outline, entry(name)) for name, outline in there.items()]
    return [
        (left, there[kind.partner])
        for left, kind in kinds
        if kind.side == "left" and kind.partner in there and kind.system not in CROSSWISE and kind.kind != "lesion"
    ]


def check_share(crossed: Mapping[str, Sequence[str]], of: Mapping[str, int]) -> None:
    """In no set are sides contradicted in more than MOST_CROSSED of the cases; a single one may be an accident.

    crossed: source -> names of the cases whose pairs contradict their frame; of: source -> how many were checked.
    """
    for source, names in crossed.items():
        allowed = max(1, int(MOST_CROSSED * of[source]))
        if len(names) > allowed:
            raise BadInput(
                "too many cases are labelled the wrong way round for the set's sides to be trusted",
                where=f"{source}: found {len(names)} of {of[source]} cases whose pairs contradict their frame, wanted "
                f"{allowed} or fewer: {_some(names)}",
                next="mirror images or labels, or take these cases out",
                safe=KEPT,
            )


def check_schema(questions: Iterable[Question], studies: Mapping[str, Stored]) -> None:
    """Every question agrees with itself and with its study.

    studies: by id; a question may be about none ("") where it is text alone.
    """
    seen: set[str] = set()
    faults = []
    for question in questions:
        why = [] if question.id not in seen else ["its id is another's too"]
        seen.add(question.id)
        why += _wrong_in(question)
        if question.study and question.study not in studies:
            why.append("its study is not stored")
        elif question.study:
            why += _wrong_beside(question, studies[question.study])
        if why:
            faults.append(f"{question.id}: {', '.join(why)}")
    _refuse("questions are not of the schema", faults, "make them again; nothing is to be mended by hand")


def _wrong_in(question: Question) -> Iterator[str]:
    shown = [_filled(option, question.regions) for option in question.options]
    if any(a == b for a, b in combinations(shown, 2)):
        yield "two options are alike"
    if question.answer is None and not question.reply:
        yield "it has no answer"
    if question.family not in FAMILIES:
        yield f"family {question.family!r} is none of the six"
    yield from (f"no {name}" for name in ("text", "subject", "licence", "provenance") if not getattr(question, name))


def _wrong_beside(question: Question, study: Stored) -> Iterator[str]:
    for name in ("subject", "split", "dimension"):
        if getattr(question, name) != getattr(study, name):
            yield f"its {name} is not its study's"
    boxes = [*question.regions, *(remark.box for remark in question.rationale if remark.box)]
    if any(box.within(study.shape) != box for box in boxes):
        yield "a box leaves its study"
    if question.laterality and not study.frame_known:
        yield "it asks about sides that nobody knows"


def _filled(option: str, regions: Sequence[Box]) -> str:
    found = re.fullmatch(r"\{(\d+)\}", option)
    return str(regions[int(found[1])]) if found and int(found[1]) < len(regions) else " ".join(option.split())


def _middle(outline: Outlined) -> float:
    """Of its voxels along x."""
    across = outline.inside.sum(axis=(1, 2))
    return outline.low[0] + float(across @ np.arange(len(across)) / across.sum())


def _refuse(what: str, faults: Sequence[str], next_step: str, safe: str = "nothing was changed") -> None:
    if faults:
        raise BadInput(what, where=f"{len(faults)} found, wanted 0: {_some(faults)}", next=next_step, safe=safe)


def _some(faults: Sequence[str]) -> str:
    return "; ".join(faults[:NAMED]) + ("; …" if len(faults) > NAMED else "")
