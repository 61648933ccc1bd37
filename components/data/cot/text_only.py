"""What words alone give away: a classifier that never sees a picture, beside chance.

It scores each option by the words of question and option, alone and in pairs, its place, and the numbers of its box; it
is trained on some questions and tried on others that share no options with them.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np
from sklearn.feature_extraction import FeatureHasher
from sklearn.linear_model import LogisticRegression

from model.interface.question import FAMILIES, Question

FOLDS = 5
FEATURES = 1 << 16
WORD = re.compile(r"[a-z]+")
COARSE = 8
"""Voxels: how finely the numbers of a box are read."""


def text_only(questions: Sequence[Question]) -> dict[str, dict[str, float]]:
    """Of closed questions, by "2d family" and "3d family": accuracy, chance, their difference with its interval, n."""
    closed = [q for q in questions if q.options]
    right = _right(closed)
    found: dict[str, dict[str, float]] = {}
    for dimension in (2, 3):
        for family in FAMILIES:
            here = [k for k, q in enumerate(closed) if (q.dimension, q.family) == (dimension, family)]
            if here:
                found[f"{dimension}d {family}"] = _compared([closed[k] for k in here], right[here])
    return found


def _compared(asked: Sequence[Question], right: np.ndarray) -> dict[str, Any]:
    chance = np.array([1 / len(q.options) for q in asked])
    over = right - chance
    half = 1.96 * float(over.std()) / sqrt(len(over))
    difference = float(over.mean())
    return {
        "n": len(asked),
        "accuracy": round(float(right.mean()), 4),
        "chance": round(float(chance.mean()), 4),
        "over_chance": round(difference, 4),
        "low": round(difference - half, 4),
        "high": round(difference + half, 4),
    }


def _right(asked: Sequence[Question]) -> np.ndarray:
    """Whether each is answered rightly by a classifier trained on the folds it isn't in."""
    fold = np.array([_fold(q) for q in asked])
    rows = [list(_options(q)) for q in asked]
    hasher = FeatureHasher(FEATURES, input_type="string")
    out = np.zeros(len(asked))
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k).tolist(), np.flatnonzero(fold == k).tolist()
        if not train or not test:
            continue
        wanted = np.array([i == asked[t].answer for t in train for i in range(len(rows[t]))])
        machine = LogisticRegression(C=1.0, max_iter=200, solver="liblinear")
        machine.fit(hasher.transform([option for t in train for option in rows[t]]), wanted)
        scores = machine.decision_function(hasher.transform([option for t in test for option in rows[t]]))
        start = 0
        for t in test:
            out[t] = int(np.argmax(scores[start : start + len(rows[t])])) == asked[t].answer
            start += len(rows[t])
    return out


def _fold(question: Question) -> int:
    """Those that share words and options are tried together: knowing the rest of them would tell the last."""
    told = f"{question.text}|{sorted(_shown(question, o) for o in question.options)}"
    return hashlib.sha256(told.encode()).digest()[0] % FOLDS


def _options(question: Question) -> Iterator[list[str]]:
    """Features of each option."""
    asked = set(WORD.findall(question.text.lower()))
    shown = [_shown(question, option) for option in question.options]
    for k, option in enumerate(shown):
        said = WORD.findall(option) or [option]
        yield [f"at {k}", *(f"o {w}" for w in said), *(f"{a}+{w}" for a in asked for w in said), *_ranks(question, k)]


def _ranks(question: Question, k: int) -> list[str]:
    """How a box's place and size compare with the others': a middle one may be likelier."""
    if not question.regions:
        return []
    boxes = np.array([box.numbers for box in question.regions])
    values = np.concatenate([(boxes[:, :3] + boxes[:, 3:]) / 2, boxes[:, 3:] - boxes[:, :3]], 1)
    ranks = (values < values[k]).sum(0)
    coarse = (values[k] // COARSE).astype(int)
    about = " ".join(WORD.findall(question.text.lower())[-3:])
    told = [f"rank {axis} {rank} of {len(boxes)}" for axis, rank in enumerate(ranks)]
    return told + [f"{about} {axis} {n}" for axis, n in enumerate(coarse)]


def _shown(question: Question, option: str) -> str:
    if option.startswith("{"):
        return str(question.regions[int(option[1:-1])].numbers)
    return option.lower()


def worst(found: dict[str, dict[str, float]]) -> float:
    """The largest difference from chance, upwards."""
    return max((one["over_chance"] for one in found.values()), default=0.0)


def letters(questions: Sequence[Question]) -> dict[str, dict[str, int]]:
    """How often each letter is right, by number of options."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for q in questions:
        if q.options and q.letter:
            found[str(len(q.options))][q.letter] += 1
    return {n: dict(sorted(some.items())) for n, some in sorted(found.items())}
