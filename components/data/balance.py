"""Choosing among questions so that nothing is gained by not looking.

Within one wording every answer is right equally often; of several options none is much commoner than
the others. A wording with only one answer to choose from would give itself away and is dropped.
"""

import re
from collections import defaultdict

import numpy as np

from components.data.lesions import KINDS
from model.interface.question import Question

COMMONER = 1.25
"""Most that an answer among several may occur, in medians of the wording's answers."""
ANY_KIND = re.compile("|".join(KINDS))


def balance(
    questions: list[Question], wanted: int, random: np.random.Generator, *, level: bool = True
) -> list[Question]:
    """At most `wanted` of them, families alike (the fine ones of each count as another), in the order given.

    level: make the answers of a wording equally frequent; without it only the families are evened out.
    """
    by_family: dict[tuple[str, bool], list[Question]] = defaultdict(list)
    for same in _groups(questions, _wording).values():
        by_family[same[0].family, same[0].fine] += _levelled(same, random) if level else same
    queues = [_mixed(family, random) for family in by_family.values()]
    kept: list[Question] = []
    while len(kept) < wanted and any(queues):
        for queue in queues:
            if queue and len(kept) < wanted:
                kept.append(queue.pop())
    order = {question.id: i for i, question in enumerate(questions)}
    return sorted(kept, key=lambda question: order[question.id])


def _levelled(same: list[Question], random: np.random.Generator) -> list[Question]:
    """Of one wording: no answer commoner than it may be."""
    if same[0].regions:  # every question has boxes of its own; but a structure's place is half known without looking
        about_a_lesion = _groups(_mixed(same, random), lambda question: bool(ANY_KIND.search(question.text)))
        return about_a_lesion[True] + about_a_lesion[False][: len(about_a_lesion[True])]
    by_answer = _groups(_mixed(same, random), answer_key)
    sizes = sorted(map(len, by_answer.values()))
    if len(same[0].options) == 2:
        most = sizes[0] if len(sizes) > 1 else 0
    else:
        most = int(np.ceil(COMMONER * float(np.median(sizes))))
    return [question for some in by_answer.values() for question in some[:most]]


def _wording(question: Question) -> tuple[int, str, str]:
    """Questions that differ only in what lesion they are about are worded alike, except "is there a …"."""
    about = question.text if question.family == "existence verification" else ANY_KIND.sub("lesion", question.text)
    return question.dimension, question.family, "" if question.regions else about


def answer_key(question: Question) -> str:
    """What is right, whatever kind of lesion it is called by; the kind itself where that is asked."""
    right = question.options[question.answer or 0]
    return right if question.family == "lesion analysis" else ANY_KIND.sub("lesion", right)


def _mixed(questions: list[Question], random: np.random.Generator) -> list[Question]:
    return [questions[k] for k in random.permutation(len(questions))]


def _groups(questions: list[Question], key) -> dict[object, list[Question]]:
    groups: dict[object, list[Question]] = defaultdict(list)
    for question in questions:
        groups[key(question)].append(question)
    return groups
