"""Answers that are dictated, so that both ways of making them say the very same tokens.

A volume of noise costs what a head costs, and a dictated answer points as often as the figure needs it to,
whatever the checkpoint has learnt. Only what is said is dictated: every score is the model's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.imaging.crop import crop
from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.prompt import question_text
from model.interface.question import Question
from model.vlm import sampling
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask, Engine, Study
from model.vlm.features import Features
from model.vlm.forward import Memory, embed, hidden, logits
from model.vlm.regions import features_of, inject
from model.vlm.rollout import Rollout
from model.vlm.sampling import Sampling
from model.vlm.tokens import Strip, Vocabulary, ask, ask_again, open_study
from model.vlm.tower import grid_of

SHAPE, SPACING_MM = (128, 128, 64), (1.625, 1.625, 2.75)
"""Of the data set's volumes: (x, y, z)."""


@dataclass(frozen=True, eq=False)
class Dictated:
    """A question, and the tokens of its answer."""

    prepared: Prepared
    question: Question
    ids: list[int]


def noise(contract: Contract, random: np.random.Generator) -> Prepared:
    """A volume of noise, prepared."""
    voxels = random.integers(0, 256, SHAPE, dtype=np.uint8)
    return prepare(Volume(voxels, np.diag([*SPACING_MM, 1.0]), "MR", True, "axial"), contract)


def dictated(
    prepared: Prepared, name: str, boxes: int, vocabulary: Vocabulary, random: np.random.Generator
) -> Dictated:
    """An answer that points `boxes` times, anywhere. name: the structure that is asked about."""
    question = Question("", "", "", "", 3, "existence verification", f"Is the {name} seen?", ("Yes", "No"), 0)
    pointing = (f"It is at {grammar.write_box(_box(prepared, random), flat=False)} " for _ in range(boxes))
    text = grammar.THINK_OPEN + "".join(pointing) + grammar.write_answer("A", "Yes") + grammar.TURN_END
    return Dictated(prepared, question, vocabulary.own(text))


def _box(prepared: Prepared, random: np.random.Generator) -> Box:
    low = [int(random.integers(0, n // 2)) for n in prepared.frame.shape]
    size = [int(random.integers(1, n // 2 + 1)) for n in prepared.frame.shape]
    return Box.of((*low, *(a + b for a, b in zip(low, size, strict=True))))


def together(checkpoint: Checkpoint, said: Sequence[Dictated]) -> list[Rollout]:
    """Our way: every study is read once, its answers are rows that continue from there."""
    unlike = list({id(one.prepared): one.prepared for one in said}.values())
    engine, studies = opened(checkpoint, unlike)
    study_of = dict(zip(map(id, unlike), studies, strict=True))
    return answered(engine, [Ask(study_of[id(one.prepared)], one.question) for one in said], said, {})


def opened(checkpoint: Checkpoint, prepared: Sequence[Prepared]) -> tuple[Engine, list[Study]]:
    """Studies read, by an engine that keeps no features from one measurement to the next."""
    engine = Engine(checkpoint, features=Features(0), studies=0)
    return engine, engine.read(prepared)


def answered(
    engine: Engine,
    asks: Sequence[Ask],
    said: Sequence[Dictated],
    heard: dict[tuple[int, int], Tensor],
    *,
    keep: bool = False,
) -> list[Rollout]:
    """Open studies, asked together and told what to say.

    heard: gains the scores float[vocab] at each (answer, place).
    """
    tell = sampling.dictated([one.ids for one in said])

    def choose(scores: Tensor, rollouts: Sequence[Rollout]) -> list[tuple[int, float]]:
        for row, rollout in zip(scores.log_softmax(-1), rollouts, strict=True):
            heard[rollout.row, len(rollout.logprobs)] = row  # a row that waits is heard again once it goes on
        return tell(scores, rollouts)

    roomy = Sampling(max_tokens=1 + max(len(one.ids) for one in said), max_boxes=20)
    return engine.ask(asks, roomy, keep=keep, choose=choose)


def logprobs(rollouts: Sequence[Rollout]) -> Tensor:
    """float[tokens] of all answers, one after another."""
    return torch.tensor([logprob for rollout in rollouts for logprob in rollout.logprobs])


@torch.no_grad()
def rereading(checkpoint: Checkpoint, said: Dictated, before: Rollout | None = None) -> Tensor:
    """A peer's way: every round reads all pictures and the whole row so far anew; float[tokens, vocab].

    Within a round it keeps keys and values, as any server does. before: the answer that is followed up.
    """
    vocabulary, contract = checkpoint.vocabulary, checkpoint.contract
    pictures = list(said.prepared.slices)
    shared = open_study(vocabulary, [grid_of(p.shape, contract) for p in pictures], 3, contract)
    words = question_text(said.question, ())
    if before:
        pictures += [p for step in before.steps if step.box for p in crop(said.prepared, step.box, contract)]
    branch = ask_again(before.branch, vocabulary, words) if before else ask(shared, vocabulary, words)
    row = _joined(shared, branch)
    found: list[Tensor] = []
    for words in rounds(said.ids, vocabulary.box_close):
        memory = Memory(len(checkpoint.vlm.model.language_model.layers))
        scores = _read(checkpoint, row, 0, features_of(checkpoint.vlm, pictures, contract), memory)
        for token in words[:-1]:
            found.append(scores)
            row.write([token])
            scores = _read(checkpoint, row, len(row) - 1, [], memory)
        found.append(scores)
        row.write(words[-1:])
        box = grammar.last_box(vocabulary.text(words))
        if isinstance(box, Box):
            shown = crop(said.prepared, box, contract)
            inject(row, shown, contract, vocabulary)
            pictures += shown
    return torch.stack(found)


def rounds(ids: Sequence[int], box_close: int) -> list[list[int]]:
    """The answer cut behind every box."""
    ends = [i + 1 for i, token in enumerate(ids) if token == box_close]
    return [list(ids[a:b]) for a, b in zip([0, *ends], [*ends, len(ids)], strict=True)]


def _joined(shared: Strip, branch: Strip) -> Strip:
    return Strip(
        ids=shared.ids + branch.ids,
        places=shared.places + branch.places,
        is_picture=shared.is_picture + branch.is_picture,
        trained=shared.trained + branch.trained,
        end=branch.end,
    )


def _read(checkpoint: Checkpoint, row: Strip, since: int, features: list[Tensor], memory: Memory) -> Tensor:
    """Run the row from `since` on; log-probabilities float[vocab] of what comes next."""
    ids, is_picture, places = (torch.tensor(column[since:])[None] for column in (row.ids, row.is_picture, row.places))
    mask = torch.ones(1, ids.shape[1], len(row), dtype=torch.bool).tril(since)
    embedded = embed(checkpoint.vlm, ids, is_picture, features)
    states = hidden(checkpoint.vlm, embedded, places, mask, memory)
    return logits(checkpoint.vlm, states[0, -1], checkpoint.vocabulary).log_softmax(-1)
