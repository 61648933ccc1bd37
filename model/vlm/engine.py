"""Grounded decoding: read a study once, then answer, point, look and go on.

A study's pictures are encoded and prefilled once; its questions, and the samples of each, are rows
that continue from that memory. Rows are sampled together until each has closed a box or its turn;
then the boxes' crops are injected and sampling goes on, on the same memory. Sampled ids are
stored as they were drawn and never re-encoded.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model.imaging.crop import crop
from model.imaging.prepare import Prepared
from model.imaging.sides import side_of
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.laterality import side_said
from model.interface.prompt import filled_options, question_text
from model.interface.question import Question
from model.interface.trace import Answer, Flaw, Side, Step, Trace
from model.vlm.checkpoint import Checkpoint
from model.vlm.forward import Memory, embed, hidden, logits
from model.vlm.regions import features_of, inject
from model.vlm.tokens import Strip, ask, open_study
from model.vlm.tower import grid_of


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float = 0.0
    """0 is greedy; otherwise plain sampling, top-p 1, top-k 0."""
    max_tokens: int = 160
    """One budget of sampled tokens an answer; injected ones don't count."""
    max_boxes: int = 6
    """Boxes that are answered with crops; a further one is a flaw."""
    seed: int = 0
    rows: int = 64
    """Answers decoded together."""


@dataclass(slots=True)
class Rollout:
    """One answer in the making: its branch of tokens, and what it saw."""

    prepared: Prepared
    question: Question
    shared: Strip
    branch: Strip
    asked: int
    """Length of the branch before the assistant spoke."""
    pictures: list[Tensor]
    """Visual tokens of the study's own pictures."""
    features: list[Tensor] = field(default_factory=list)
    """Visual tokens of the crops, in order."""
    logprobs: list[float] = field(default_factory=list)
    """Natural log, temperature 1, of each sampled token."""
    steps: list[Step] = field(default_factory=list)
    open_step: list[int] = field(default_factory=list)
    """Sampled ids since the last box."""
    done: bool = False
    truncated: bool = False
    seconds: float = 0.0

    @property
    def boxes(self) -> int:
        return len(self.steps)


def answer(checkpoint: Checkpoint, asked: Sequence[tuple[Prepared, Question]], sampling: Sampling) -> list[Trace]:
    """One trace a question, in order."""
    return [trace_of(rollout, checkpoint) for rollout in roll_out(checkpoint, asked, sampling)]


@torch.no_grad()
def roll_out(checkpoint: Checkpoint, asked: Sequence[tuple[Prepared, Question]], sampling: Sampling) -> list[Rollout]:
    """Decode every question; ask one several times to sample a group. Order is kept.

    Volumes and images are batched apart, so that rows of a batch are of like length. Raises BadInput where a study
    was prepared under another contract than the checkpoint's.
    """
    own = checkpoint.contract.digest()
    if other := next((prepared.contract for prepared, _ in asked if prepared.contract != own), ""):
        raise BadInput(
            "this study was prepared in another way than the checkpoint was trained on",
            where=f"contract: found {other[:12]}, wanted {own[:12]}",
            next="prepare it under the checkpoint's own contract, or override a field of that by name",
        )
    rollouts: list[Rollout | None] = [None] * len(asked)
    random = torch.Generator().manual_seed(sampling.seed)
    first_asked: dict[int, int] = {}
    for i, (prepared, _) in enumerate(asked):
        first_asked.setdefault(id(prepared), i)
    order = sorted(range(len(asked)), key=lambda i: (asked[i][0].slices.shape, first_asked[id(asked[i][0])]))
    for dimension in (2, 3):
        places = [i for i in order if asked[i][0].dimension == dimension]
        for first in range(0, len(places), sampling.rows):
            batch = places[first : first + sampling.rows]
            began = time.perf_counter()
            decoded = _Batch(checkpoint, [asked[i] for i in batch], sampling, random).run()
            for i, rollout in zip(batch, decoded, strict=True):
                rollout.seconds = (time.perf_counter() - began) / len(batch)
                rollouts[i] = rollout
    return [rollout for rollout in rollouts if rollout is not None]


class _Batch:
    """Rows that advance together: `memory` has a column a token, `visible` says which are a row's own."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        asked: Sequence[tuple[Prepared, Question]],
        sampling: Sampling,
        random: torch.Generator,
    ) -> None:
        self.checkpoint, self.sampling, self.random = checkpoint, sampling, random
        self.vlm, self.vocabulary, self.contract = checkpoint.vlm, checkpoint.vocabulary, checkpoint.contract
        self.device = next(checkpoint.vlm.parameters()).device
        studies = {id(prepared): prepared for prepared, _ in asked}
        shared = {key: self._open(prepared) for key, prepared in studies.items()}
        encoded = iter(
            features_of(self.vlm, [picture for s in studies.values() for picture in s.slices], self.contract)
        )
        pictures = {key: [next(encoded) for _ in study.slices] for key, study in studies.items()}
        self.rollouts = [self._ask(p, question, shared[id(p)], pictures[id(p)]) for p, question in asked]
        self.row_of = list(range(len(asked)))  # which rollout each row of the memory belongs to
        place = {key: i for i, key in enumerate(studies)}
        self.memory, self.visible = self._prefill(
            list(shared.values()), [f for some in pictures.values() for f in some]
        )
        index = [place[id(prepared)] for prepared, _ in asked]
        self.memory, self.visible = self.memory.rows(index), self.visible[index]

    def run(self) -> list[Rollout]:
        scores = self._feed([r.branch for r in self.rollouts], [0] * len(self.rollouts), [])
        while self.row_of:
            self._sample_until_all_stop(scores)
            self._keep([row for row, i in enumerate(self.row_of) if not self.rollouts[i].done])
            if self.row_of:
                scores = self._inject_crops()
        return self.rollouts

    def _open(self, prepared: Prepared) -> Strip:
        grids = [grid_of(picture.shape, self.contract) for picture in prepared.slices]
        return open_study(self.vocabulary, grids, prepared.dimension, self.contract)

    def _ask(self, prepared: Prepared, question: Question, shared: Strip, pictures: list[Tensor]) -> Rollout:
        places = tuple(prepared.frame.to_model(region) for region in question.regions)
        branch = ask(shared, self.vocabulary, question_text(question, places))
        return Rollout(prepared, question, shared, branch, len(branch), pictures)

    def _prefill(self, strips: list[Strip], features: list[Tensor]) -> tuple[Memory, Tensor]:
        """Memory and visible columns bool[studies, columns] after every shared strip."""
        columns = max(map(len, strips))
        memory = Memory(len(self.vlm.model.language_model.layers))
        ids, is_picture, places, real = self._pad(strips, [0] * len(strips))
        causal = torch.ones(columns, columns, dtype=torch.bool, device=self.device).tril()
        hidden(
            self.vlm, embed(self.vlm, ids, is_picture, features), places, _self_or(causal & real[:, None], 0), memory
        )
        return memory, real

    def _feed(self, strips: list[Strip], since: list[int], features: list[Tensor]) -> Tensor:
        """Run what each row's branch has gained; scores float[rows, vocab] after its last token."""
        ids, is_picture, places, real = self._pad(strips, since)
        new = ids.shape[1]
        causal = torch.ones(new, new, dtype=torch.bool, device=self.device).tril()
        mask = torch.cat([self.visible[:, None].expand(-1, new, -1), causal & real[:, None]], -1)
        self.visible = torch.cat([self.visible, real], 1)
        states = hidden(
            self.vlm, embed(self.vlm, ids, is_picture, features), places, _self_or(mask, self.memory.used), self.memory
        )
        last = real.sum(1).clamp(min=1) - 1
        return logits(self.vlm, states[torch.arange(len(strips)), last], self.vocabulary)

    def _pad(self, strips: list[Strip], since: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What each strip holds from `since` on, padded on the right: ids, is_picture, places, real."""
        width = max(len(strip) - first for strip, first in zip(strips, since, strict=True))
        ids = torch.zeros(len(strips), width, dtype=torch.long)
        is_picture, real = torch.zeros_like(ids, dtype=torch.bool), torch.zeros_like(ids, dtype=torch.bool)
        places = torch.zeros(len(strips), width, 3, dtype=torch.long)
        for row, (strip, first) in enumerate(zip(strips, since, strict=True)):
            n = len(strip) - first
            if n:
                ids[row, :n] = torch.tensor(strip.ids[first:])
                is_picture[row, :n] = torch.tensor(strip.is_picture[first:])
                places[row, :n] = torch.tensor(strip.places[first:])
                real[row, :n] = True
        return ids.to(self.device), is_picture.to(self.device), places.to(self.device), real.to(self.device)

    def _keep(self, rows: list[int]) -> None:
        self.row_of = [self.row_of[row] for row in rows]
        if len(rows) < len(self.visible):
            self.memory, self.visible = self.memory.rows(rows), self.visible[rows]

    def _sample_until_all_stop(self, scores: Tensor) -> None:
        """Lockstep: a row that closed a box or its turn waits for the others."""
        rollouts = [self.rollouts[i] for i in self.row_of]
        running = [True] * len(rollouts)
        while True:
            for row, (token, logprob) in enumerate(self._draw(scores)):
                running[row] = running[row] and self._take(rollouts[row], token, logprob)
            if not any(running):
                return
            since = [len(r.branch) - goes for r, goes in zip(rollouts, running, strict=True)]
            scores = self._feed([r.branch for r in rollouts], since, [])

    def _draw(self, scores: Tensor) -> list[tuple[int, float]]:
        logprobs = scores.log_softmax(-1)
        if self.sampling.temperature == 0:
            tokens = scores.argmax(-1, keepdim=True)
        else:
            heat = (scores / self.sampling.temperature).softmax(-1).cpu()
            tokens = torch.multinomial(heat, 1, generator=self.random).to(scores.device)
        return list(zip(tokens[:, 0].tolist(), logprobs.gather(-1, tokens)[:, 0].tolist(), strict=True))

    def _take(self, rollout: Rollout, token: int, logprob: float) -> bool:
        """Store a sampled token; False when the row must wait (box closed) or is done."""
        rollout.branch.write([token], trained=True)
        rollout.logprobs.append(logprob)
        rollout.open_step.append(token)
        if token == self.vocabulary.turn_end or len(rollout.logprobs) >= self.sampling.max_tokens:
            rollout.truncated = token != self.vocabulary.turn_end
            rollout.steps.append(Step(self.vocabulary.text(rollout.open_step)))
            rollout.done = True
            return False
        return token != self.vocabulary.box_close

    def _inject_crops(self) -> Tensor:
        """Answer every waiting row's box with its crops, or with a flaw and nothing."""
        rollouts = [self.rollouts[i] for i in self.row_of]
        since = [len(rollout.branch) - 1 for rollout in rollouts]  # the closing tag itself is fed now
        pictures = [self._close_step(rollout) for rollout in rollouts]
        features = features_of(self.vlm, [p for shown in pictures for p in shown], self.contract)
        left = iter(features)
        for rollout, shown in zip(rollouts, pictures, strict=True):
            inject(rollout.branch, shown, self.contract, self.vocabulary)
            rollout.features += [next(left) for _ in shown]
        return self._feed([rollout.branch for rollout in rollouts], since, features)

    def _close_step(self, rollout: Rollout) -> list[np.ndarray]:
        """Read the box that ends this step; the pictures it brings, none when it is flawed."""
        text = self.vocabulary.text(rollout.open_step)
        rollout.open_step = []
        frame = rollout.prepared.frame
        box = grammar.last_box(text)
        flaw = box if isinstance(box, Flaw) else None
        if isinstance(box, Box):
            flaw = grammar.why_other_kind(text, frame.shape) or grammar.why_not_usable(box, frame.shape)
            if rollout.boxes >= self.sampling.max_boxes:
                flaw = Flaw(text[-80:], f"more than {self.sampling.max_boxes} boxes")
        if flaw or not isinstance(box, Box):
            rollout.steps.append(Step(text, flaw=flaw or Flaw(text[-80:], "unpaired")))
            return []
        shown = crop(rollout.prepared, box, self.contract)
        rollout.steps.append(Step(text, box=box, box_mm=frame.to_mm(box), crops=len(shown)))
        return shown


def _self_or(mask: Tensor, offset: int) -> Tensor:
    """Let padding look at itself: a row of all False would be NaN in softmax."""
    itself = torch.zeros(mask.shape[-2:], dtype=torch.bool, device=mask.device)
    itself[torch.arange(mask.shape[-2]), offset + torch.arange(mask.shape[-2])] = True
    return mask | (itself & ~mask.any(-1, keepdim=True))


def trace_of(rollout: Rollout, checkpoint: Checkpoint) -> Trace:
    """What was said, read once; flaws met while injecting, or against the options, join those of the grammar."""
    read = grammar.parse("".join(step.text for step in rollout.steps))
    known = set(read.flaws)
    met = tuple(step.flaw for step in rollout.steps if step.flaw and step.flaw not in known)
    places = tuple(rollout.prepared.frame.to_model(region) for region in rollout.question.regions)
    if contradiction := grammar.why_contradictory(read, filled_options(rollout.question, places)):
        met += (contradiction,)
    return Trace(
        question_id=rollout.question.id,
        study_digest=rollout.prepared.volume.digest,
        shape=rollout.prepared.frame.shape,
        steps=tuple(rollout.steps),
        answer=Answer(read.choice, read.text, read.evidence, read.flaws + met),
        sampled=len(rollout.logprobs),
        truncated=rollout.truncated,
        mean_logprob=sum(rollout.logprobs) / max(1, len(rollout.logprobs)),
        seconds=rollout.seconds,
        versions={"checkpoint": checkpoint.digest, "contract": checkpoint.contract.digest()},
        sides=tuple(_sides(rollout)),
    )


def _sides(rollout: Rollout) -> Iterator[Side]:
    for i, step in enumerate(rollout.steps):
        if step.box and (said := side_said(step.text)) and (found := side_of(step.box, rollout.prepared)):
            yield Side(i, said, found)
