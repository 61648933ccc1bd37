"""From sealed shards to training rows: study prepared once, encoded once, its questions as branches.

A question about no study (the text-only rows of UniReason-Med-Data) is a row of its own, without pictures.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.training.sampler import Item, Kind
from model.imaging import shards
from model.imaging.crop import crop
from model.imaging.prepare import Prepared, prepare
from model.interface.boxes import Box
from model.interface.prompt import filled, filled_options, question_text
from model.interface.question import Question, Remark
from model.learning.packing import Row
from model.vlm.checkpoint import Checkpoint
from model.vlm.regions import features_of
from model.vlm.tokens import Strip, ask, open_study, reason
from model.vlm.tower import grid_of


@dataclass(frozen=True, slots=True)
class Case:
    """A prepared study and the questions asked about it."""

    prepared: Prepared
    questions: list[Question]


Encode = Callable[[Sequence[np.ndarray]], list[Tensor]]
"""Pictures -> float[tokens, hidden] of each."""


@dataclass(frozen=True, slots=True)
class Example:
    """A study's row with the features of its pictures and of its teacher's crops."""

    shared: Strip
    pictures: list[Tensor]
    branches: list[Strip]
    crops: list[list[Tensor]]
    """By branch."""
    dimension: int

    def row(self, chosen: Sequence[int]) -> Row:
        """These branches, behind the study's pictures."""
        features = [*self.pictures, *(f for k in chosen for f in self.crops[k])]
        return Row(self.shared, [self.branches[k] for k in chosen], features)


class Deal:
    """Deals studies out to the workers in turn, each kind apart: a volume is as much work as several images."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world, self.dealt = rank, world, Counter[Kind]()

    def mine(self, kind: Kind) -> bool:
        """Whether the next of this kind is this worker's."""
        self.dealt[kind] += 1
        return (self.dealt[kind] - 1) % self.world == self.rank


def cases(folder: Path, split: str, checkpoint: Checkpoint) -> list[Case]:
    """Every study that is asked about, in shard order."""
    asked = by_study(shards.read_questions(folder, split))
    return [
        Case(prepare(study.volume, checkpoint.contract), asked[study.id])
        for study in shards.read_studies(folder, split)
        if study.id in asked
    ]


def examples(
    folder: Path, split: str, checkpoint: Checkpoint, *, rank: int = 0, world: int = 1, encode: Encode | None = None
) -> tuple[list[Item], dict[int, Example]]:
    """(every study of the split that is asked about, this worker's rows by place); text alone comes last."""
    asked, deal = by_study(shards.read_questions(folder, split)), Deal(rank, world)
    items, mine, count = [], {}, 0
    for place, study in enumerate(shards.read_studies(folder, split)):
        count += 1
        if study.id in asked:
            questions = asked[study.id]
            items.append(Item(place, _kind(study), tuple(question.family for question in questions)))
            if deal.mine(_kind(study)):
                mine[place] = example(Case(prepare(study.volume, checkpoint.contract), questions), checkpoint, encode)
    for place, question in enumerate(asked.get("", ()), count):
        items.append(Item(place, "text", (question.family,)))
        if deal.mine("text"):
            mine[place] = text_example(question, checkpoint)
    return items, mine


def _kind(study: shards.Study) -> Kind:
    return "images" if study.volume.dimension == 2 else "volumes"


def by_study(questions: Iterable[Question]) -> dict[str, list[Question]]:
    """In order; those about no study under ""."""
    asked: dict[str, list[Question]] = {}
    for question in questions:
        asked.setdefault(question.study, []).append(question)
    return asked


def text_example(question: Question, checkpoint: Checkpoint) -> Example:
    """A question about nothing that is shown: its teacher's boxes are written as they stand."""
    vocabulary = checkpoint.vocabulary
    shared = open_study(vocabulary, [], question.dimension, checkpoint.contract)
    branch = ask(shared, vocabulary, question_text(question, question.regions))
    unseen = [[] for _ in question.rationale]
    told = answer_of(question, question.regions)
    reason(branch, vocabulary, question.rationale, unseen, told, flat=question.dimension == 2)
    return Example(shared, [], [branch], [[]], question.dimension)


@torch.no_grad()
def example(case: Case, checkpoint: Checkpoint, encode: Encode | None = None) -> Example:
    """Encode a study, and lay out every question with its teacher's rationale and crops."""
    prepared, contract, vocabulary = case.prepared, checkpoint.contract, checkpoint.vocabulary
    flat = prepared.dimension == 2
    shared = open_study(vocabulary, [grid_of(p.shape, contract) for p in prepared.slices], prepared.dimension, contract)
    branches, shown = [], []
    for question in case.questions:
        remarks = [in_model_space(remark, prepared) for remark in question.rationale]
        crops = [crop(prepared, remark.box, contract) if remark.box else [] for remark in remarks]
        places = tuple(prepared.frame.to_model(region) for region in question.regions)
        branch = ask(shared, vocabulary, question_text(question, places))
        grids = [[grid_of(picture.shape, contract) for picture in pictures] for pictures in crops]
        reason(branch, vocabulary, remarks, grids, answer_of(question, places), flat=flat)
        branches.append(branch)
        shown.append([picture for pictures in crops for picture in pictures])
    pictures: list[np.ndarray] = [*prepared.slices, *(picture for some in shown for picture in some)]
    encoded = iter(encode(pictures) if encode else features_of(checkpoint.vlm, pictures, contract))
    return Example(
        shared,
        [next(encoded) for _ in prepared.slices],
        branches,
        [[next(encoded) for _ in some] for some in shown],
        prepared.dimension,
    )


def in_model_space(remark: Remark, prepared: Prepared) -> Remark:
    return replace(remark, box=prepared.frame.to_model(remark.box)) if remark.box else remark


def answer_of(question: Question, places: tuple[Box, ...]) -> tuple[str, str]:
    """(letter, text) of the truth, as the model is to say it; no letter of an open question.

    Raises ValueError where a training question has no answer. A box among the options is answered by its letter alone:
    the model's own box stands in its rationale, and one that isn't the option's to the pixel would contradict it.
    """
    if question.reply:
        return "", filled(question.reply, places, flat=question.dimension == 2)
    if question.answer is None or question.letter is None:
        raise ValueError(f"question {question.id} has no answer to train on")
    told = question.options[question.answer]
    is_text = filled_options(question, places)[question.answer] == told
    return question.letter, told if is_text else ""
