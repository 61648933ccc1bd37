"""A question is asked only together with its counter-questions: so its words give nothing away.

Proposals of the same words about different studies, with different answers, form a group. Their answers are the options
of every question in it, and each option is right exactly once, under each letter exactly once. Whoever reads the words
alone, however cleverly, is right once in as many tries as there are options. Hard distractors come of themselves: they
are what was true elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from components.data.cot.families import Proposal, Said
from components.data.cot.style import Style
from components.data.cot.wording import Words, filled_in
from model.interface.boxes import Box, iou
from model.interface.question import FAMILIES, Question, Remark

APART_IOU = 0.4
"""Boxes to choose from overlap less than this."""
LOOKED_AT = 40
"""Proposals among which a box looks for others far enough away."""

Group = tuple[Proposal, ...]


def groups(proposals: Sequence[Proposal], random: np.random.Generator, most: int) -> list[Group]:
    """Groups of 2 to `most`, each proposal in one at most. The order of proposals doesn't decide who meets whom."""
    by_key: dict[tuple, list[Proposal]] = defaultdict(list)
    for k in random.permutation(len(proposals)).tolist():
        by_key[proposals[k].key].append(proposals[k])
    found: list[Group] = []
    for key in sorted(by_key, key=repr):
        some = by_key[key]
        if len(some) > 1:
            met = _apart(some, random, most) if isinstance(some[0].answer, Box) else _different(some, random, most)
            found += met
    return found


def chosen(found: Sequence[Group], wanted: tuple[int, int], random: np.random.Generator) -> list[Group]:
    """About `wanted` questions about slices and volumes; families take turns, groups stay whole."""
    kept: list[Group] = []
    for dimension, n in zip((2, 3), wanted, strict=True):
        queues: list[list[Group]] = []
        for family in FAMILIES:
            some = [g for g in found if (g[0].sight.dimension, g[0].family) == (dimension, family)]
            queues.append([some[k] for k in random.permutation(len(some))])
        count = 0
        while count < n and any(queues):
            for queue in queues:
                if queue and count < n:
                    kept.append(queue.pop())
                    count += len(kept[-1])
    return kept


def questions(kept: Sequence[Group], words: Words, style: Style, random: np.random.Generator) -> list[Question]:
    """Worded, with options in an order in which no letter is right more often than another."""
    made: list[Question] = []
    asked: dict[str, int] = defaultdict(int)
    for group in kept:
        is_open = random.random() < style.open
        ask = "where" if is_open and isinstance(group[0].answer, Box) else group[0].ask
        text = _named(words.draw("ask", ask, random), group[0].about) + group[0].note
        letters = random.permutation(len(group)).tolist()
        for proposal, letter in zip(group, letters, strict=True):
            study = proposal.sight.study
            name = f"{study}-{asked[study]}"
            asked[study] += 1
            made.append(_question(name, text, proposal, group, letter, is_open, _Telling(words, style, random)))
    return made


def _different(some: list[Proposal], random: np.random.Generator, most: int) -> Iterator[Group]:
    """The answers that are left most often meet first, which leaves the fewest without company."""
    left: dict[str, list[Proposal]] = defaultdict(list)
    for proposal in some:
        left[str(proposal.answer)].append(proposal)
    while len(left) > 1:
        size = 2 + int(random.integers(most - 1))
        largest = sorted(left, key=lambda answer: -len(left[answer]))[:size]
        yield tuple(left[answer].pop() for answer in largest)
        left = {answer: rest for answer, rest in left.items() if rest}


def _apart(some: list[Proposal], random: np.random.Generator, most: int) -> Iterator[Group]:
    left = list(some)
    while len(left) > 1:
        size = 2 + int(random.integers(most - 1))
        group = [left.pop()]
        for k in range(len(left) - 1, max(-1, len(left) - 1 - LOOKED_AT), -1):
            if all(iou(left[k].answer, other.answer) < APART_IOU for other in group):  # pyright: ignore[reportArgumentType]
                group.append(left.pop(k))
            if len(group) == size:
                break
        if len(group) > 1:
            yield tuple(group)


def _question(
    name: str,
    text: str,
    proposal: Proposal,
    group: Group,
    letter: int,
    is_open: bool,
    telling: "_Telling",
) -> Question:
    sight = proposal.sight
    is_box = isinstance(proposal.answer, Box)
    regions: tuple[Box, ...] = ()
    options: tuple[str, ...] = ()
    if is_open:
        regions = (proposal.answer,) if isinstance(proposal.answer, Box) else ()
    else:
        others = [other.answer for other in group if other is not proposal]
        order = [others[k] for k in telling.random.permutation(len(others))]
        order.insert(letter, proposal.answer)
        regions = tuple(answer for answer in order if isinstance(answer, Box))
        options = tuple(f"{{{k}}}" if is_box else str(answer) for k, answer in enumerate(order))
    return Question(
        id=name,
        study=sight.study,
        subject=sight.subject,
        dimension=sight.dimension,
        family=proposal.family,
        text=text,
        options=options,
        answer=None if is_open else letter,
        regions=regions,
        contrast=sight.contrast,
        rationale=telling.rationale(proposal),
        laterality=proposal.laterality or (proposal.ask == "host" and sight.sides),
        reply=("{0}" if is_box else str(proposal.answer)) if is_open else "",
        split=sight.split,
        licence=sight.licence,
        provenance=f"{sight.provenance}; asked: {proposal.ask}; about: {', '.join(proposal.about) or 'lesions'}",
    )


class _Telling:
    """How a rationale is told: in whose words, at what length."""

    def __init__(self, words: Words, style: Style, random: np.random.Generator) -> None:
        self.words, self.style, self.random = words, style, random

    def rationale(self, proposal: Proposal) -> tuple[Remark, ...]:
        said = list(proposal.rationale)
        boxes = [k for k, one in enumerate(said) if one.box and one.key == "at"]
        denied = proposal.answer == "No" and boxes and proposal.family == "existence verification"
        if denied and self.random.random() >= self.style.negative:
            said = [one for one in said if not one.box]
        elif boxes and not denied and self.random.random() < self.style.second_look:
            last = said[boxes[-1]]
            said.insert(boxes[-1] + 1, replace(last, key="closer"))
        if said[0].key == "around" and self.random.random() >= self.style.context:
            said = said[1:]
        return tuple(self._remark(one) for one in said)

    def _remark(self, one: Said) -> Remark:
        sentence = self.words.draw(one.role, one.key, self.random)
        text = filled_in(sentence, a=one.a, b=one.b, word=one.word)
        return Remark(text, one.box, one.a if one.box else "", one.kind)


def _named(sentence: str, about: tuple[str, ...]) -> str:
    return filled_in(sentence, **dict(zip("ab", about, strict=False)))
