"""Stage `audit`: do answers depend on the picture, on the evidence, and on the crops that were asked for?

    python -m components.evaluation.audit

The same questions are asked as they are, and again under each intervention (`interventions`). What an intervention
costs is a paired difference over the questions it makes sense of, with its interval over heads:

    image       as asked less a blank picture; shuffled: less another head's; text: less no picture
    evidence    the masks elsewhere less the masks on the evidence: what is lost beyond having a hole in the picture
    crops       as asked less no crops; place: less crops of an equal box elsewhere
    mirror      accuracy against the mirrored truth, and how many stay with the old one
    options     how many name the same option in another order

Writes metrics.json and table.md; the gate may read them.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from components.evaluation.config import AuditConfig
from components.evaluation.intervals import Resamples, resample
from components.evaluation.interventions import (
    evidence,
    exchanged,
    greyed,
    mirrored,
    off_evidence,
    other_side,
    permuted,
    unseen,
)  # fmt: skip
from components.evaluation.paired import difference
from components.evaluation.run import Exam, blanks, read_exam
from components.stage import command
from model.imaging import shards
from model.imaging.prepare import Prepared
from model.interface.question import Question
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import answer
from model.vlm.sampling import ASKED, Sampling

AS_ASKED = "as asked"
COSTS = {
    "image": (AS_ASKED, "blank"),
    "image_shuffled": (AS_ASKED, "shuffled"),
    "image_text": (AS_ASKED, "text only"),
    "evidence": ("masked elsewhere", "evidence masked"),
    "crops": (AS_ASKED, "no crops"),
    "place": (AS_ASKED, "random crops"),
}
"""Score -> the conditions whose accuracies differ by it."""
TABLE = {
    "image": "a blank picture costs",
    "image_shuffled": "another head's picture costs",
    "image_text": "no picture costs",
    "evidence": "masking the evidence costs more than masking elsewhere",
    "crops": "no crops cost",
    "place": "crops of another place cost",
    "mirror_follows": "sides follow the mirror",
    "mirror_stays": "sides stay in the mirror",
    "options_same": "the same option in another order",
}

Asked = list[tuple[Prepared, Question] | None]
"""None where the condition makes no sense of the question."""


def run(config: AuditConfig) -> dict[str, Any]:
    """Ask, compare, write; what metrics.json holds."""
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    shards.verify(config.data)
    checkpoint = folders.load(config.checkpoint)
    exam = drawn(read_exam(config.data, config.split, checkpoint), config.questions, config.seed)
    said = {
        name: _answers(name, seeing(checkpoint, changes), asked, replace(ASKED, max_tokens=config.max_tokens))
        for name, (asked, changes) in conditions(exam, config.seed).items()
    }
    tree: dict[str, Any] = {
        "digests": {
            "checkpoint": checkpoint.digest,
            "data": shards.digest(config.data),
            "config": hashlib.sha256(config.model_dump_json(exclude={"threads", "out"}).encode()).hexdigest(),
        }
    }
    for dimension in sorted({question.dimension for question in exam.questions}):
        tree[f"{dimension}d"] = judged(exam, said, dimension, config)
    write_text(config.out / "metrics.json", json.dumps(tree, indent=1) + "\n")
    write_text(config.out / "table.md", table(tree))
    return tree


def drawn(exam: Exam, most: tuple[int, int], seed: int) -> Exam:
    """Closed questions of known truth, head by head in an order by chance, up to `most` of images and of volumes.

    The head at which a limit is met is cut short.
    """
    random = np.random.default_rng(seed)
    heads = sorted(set(exam.groups))
    rank = dict(zip(heads, random.permutation(len(heads)).tolist(), strict=True))
    left: dict[int, int] = dict(zip((2, 3), most, strict=True))
    kept: list[int] = []
    for i in sorted(range(len(exam.questions)), key=lambda i: (rank[exam.groups[i]], i)):
        question = exam.questions[i]
        if question.answer is not None and left[question.dimension]:
            left[question.dimension] -= 1
            kept.append(i)
    kept.sort()
    return Exam([exam.questions[i] for i in kept], [exam.prepared[i] for i in kept], [exam.groups[i] for i in kept])


def seeing(checkpoint: Checkpoint, changes: dict[str, Any]) -> Checkpoint:
    """The same weights under a contract that answers boxes otherwise; what a study looks like isn't changed."""
    return replace(checkpoint, contract=checkpoint.contract.model_copy(update=changes))


def conditions(exam: Exam, seed: int) -> dict[str, tuple[Asked, dict[str, Any]]]:
    """By name: what is asked of each question, and what of the contract is another."""
    random = np.random.default_rng([seed, 1])
    questions, prepared = exam.questions, exam.prepared

    def of(studies: Sequence[Prepared | None]) -> Asked:
        return [(study, question) if study else None for study, question in zip(studies, questions, strict=True)]

    once: dict[int, Prepared | None] = {}
    for study in prepared:
        if id(study) not in once:
            once[id(study)] = mirrored(study)
    turned = [once[id(s)] if other_side(q) is not None else None for s, q in zip(prepared, questions, strict=True)]
    masked: list[Prepared | None] = []
    elsewhere: list[Prepared | None] = []
    for study, question in zip(prepared, questions, strict=True):
        boxes = evidence(question)
        places = off_evidence(study, boxes, random) if boxes else None
        masked.append(greyed(study, boxes) if places else None)
        elsewhere.append(greyed(study, places) if places else None)
    black = blanks(prepared)
    nothing = {id(study): unseen(study) for study in black}
    reordered = [permuted(question, random) for question in questions]
    as_asked = of(prepared)
    return {
        AS_ASKED: (as_asked, {}),
        "blank": (of(black), {}),
        "shuffled": (of(exchanged(prepared, exam.groups, random)), {}),
        "text only": (of([nothing[id(study)] for study in black]), {}),
        "evidence masked": (of(masked), {}),
        "masked elsewhere": (of(elsewhere), {}),
        "no crops": (as_asked, {"crop_slices": 0}),
        "random crops": (as_asked, {"crop_source": "elsewhere"}),
        "mirrored": (of(turned), {}),
        "reordered": ([(s, r[0]) if r else None for s, r in zip(prepared, reordered, strict=True)], {}),
    }


def _answers(name: str, checkpoint: Checkpoint, asked: Asked, sampling: Sampling) -> list[tuple[Question, str] | None]:
    """(the question as it was asked, the letter said or "") of each that was asked."""
    began, own = time.perf_counter(), checkpoint.contract.digest()
    under = {id(one[0]): replace(one[0], contract=own) for one in asked if one}
    some = [(under[id(one[0])], one[1]) for one in asked if one]
    traces = iter(answer(checkpoint, some, sampling))
    found = [(one[1], next(traces).answer.choice or "") if one else None for one in asked]
    sys.stderr.write(f"audit: {name}: {len(some)} answers in {time.perf_counter() - began:.0f} s\n")
    return found


def judged(exam: Exam, said: dict[str, Any], dimension: int, config: AuditConfig) -> dict[str, Any]:
    """Accuracies, costs and the rest, of the questions of one dimension."""
    resamples = resample(exam.groups, config.draws, config.seed)
    inside = np.array([float(question.dimension == dimension) for question in exam.questions])
    right = {name: np.array([_right(one) for one in answers]) for name, answers in said.items()}
    asked = {name: inside * [one is not None for one in answers] for name, answers in said.items()}
    accuracy = {name: _ratio(resamples, right[name], asked[name]) for name in said if name != "mirrored"}
    costs = {}
    for score, (more, less) in COSTS.items():
        both = asked[more] * asked[less]
        ours, theirs = (right[name][None] * both for name in (more, less))
        costs[score] = difference(ours, theirs, both, exam.groups).to_json()
    truth = [other_side(question) for question in exam.questions]
    turned = [_place(one) for one in said["mirrored"]]
    follows = np.array([float(p is not None and p == other) for p, other in zip(turned, truth, strict=True)])
    again = zip(said[AS_ASKED], said["reordered"], strict=True)
    same = np.array([float(bool(one and other) and "" != _text(one) == _text(other)) for one, other in again])
    return {
        "accuracy": accuracy,
        **costs,
        "mirror_follows": _ratio(resamples, follows, asked["mirrored"]),
        "mirror_stays": _ratio(resamples, right["mirrored"], asked["mirrored"]),
        "options_same": _ratio(resamples, same, asked["reordered"]),
    }


def _ratio(resamples: Resamples, values: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    return resamples.ratio(values * counts, counts).to_json()


def _right(one: tuple[Question, str] | None) -> float:
    return float(one is not None and one[1] == one[0].letter)


def _place(one: tuple[Question, str] | None) -> int | None:
    """Index of the option whose letter was said; None where none was."""
    place = ord(one[1]) - ord("A") if one and one[1] else -1
    return place if one and 0 <= place < len(one[0].options) else None


def _text(one: tuple[Question, str]) -> str:
    place = _place(one)
    return "" if place is None else one[0].options[place]


def table(tree: dict[str, Any]) -> str:
    """Markdown: accuracy under each condition, then what it costs, a column a dimension."""
    columns = [name for name in ("2d", "3d") if name in tree]
    rows = [["", *(name.upper() for name in columns)]]
    rows += [
        [f"accuracy, {name}", *(_cell(tree[column]["accuracy"].get(name)) for column in columns)]
        for name in tree[columns[0]]["accuracy"]
    ]
    rows += [[title, *(_cell(tree[column].get(name)) for column in columns)] for name, title in TABLE.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(map(str.ljust, row, widths))} |\n" for row in rows)


def _cell(told: dict[str, Any] | None) -> str:
    if not told or told["value"] is None:
        return "–"
    ends = "" if told["low"] is None else f" [{told['low']:.3f}, {told['high']:.3f}]"
    return f"{told['value']:.3f}{ends}, n {told['n']}"


if __name__ == "__main__":
    sys.exit(command("audit", AuditConfig, run))
