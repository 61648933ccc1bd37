"""Grounded decoding: read a study once, then ask, point, look and go on.

    engine = Engine(checkpoint)
    study = engine.open(prepared)                                    # encoded and prefilled once
    first, second = engine.ask([Ask(study, a), Ask(study, b)], Sampling(), keep=True)
    (more,) = engine.ask([Ask(study, c, after=first)], Sampling())   # a follow-up, on the same memory

Answers are rows that continue from their study's memory, which is held once whatever their number. Rows are sampled
together until each has closed a box or its turn; then the boxes' crops are injected and sampling goes on, on the same
memory. Sampled ids are stored as they were drawn and never re-encoded. The weights mustn't change while an engine is
in use: make a new one behind an update.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from model.imaging.crop import crop
from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.prompt import question_text
from model.interface.question import Question
from model.interface.trace import Flaw, Step, Trace
from model.vlm import room
from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features, Tower
from model.vlm.fixed import Fixed
from model.vlm.forward import Memory, embed, hidden, looking, scored
from model.vlm.ordered import Ordered
from model.vlm.regions import inject
from model.vlm.rollout import Event, Rollout, trace_of, why_not_shown
from model.vlm.sampling import Choose, Sampling, draw, stream
from model.vlm.sharing import Layers, Shared, share
from model.vlm.tokens import Strip, ask, ask_again, open_study
from model.vlm.tower import grid_of


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A study that has been read: everything about it that answers continue from."""

    prepared: Prepared
    strip: Strip
    pictures: list[Tensor]
    """Visual tokens of its slices."""
    layers: Layers
    """Keys and values of the strip."""


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    study: Study
    question: Question
    sample: int = 0
    """Which answer to this question: with the seed, what its random numbers depend on."""
    after: Rollout | None = None
    """The answer this one follows up, made with `keep`."""


def samples(study: Study, question: Question, n: int) -> list[Ask]:
    """A group: the same question n times."""
    return [Ask(study, question, sample) for sample in range(n)]


class Engine:
    """One checkpoint, and the studies it has open."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        features: Features | None = None,
        studies: int = 4,
        room_mb: int | None = None,
        fixed: bool | None = None,
        tower: Tower | None = None,
    ) -> None:
        """studies: kept open at most, the least recently opened go first. room_mb: memory that an `open` or an `ask`
        may take, what is free where None. fixed: decode in room of fixed shape, see `Fixed`; where None, on one CUDA
        device only. tower: of the checkpoint, where engines follow one another and it is frozen."""
        self.checkpoint, self.room_mb, self.most = checkpoint, room_mb, studies
        self.features = Features() if features is None else features
        self.device = next(checkpoint.vlm.parameters()).device
        devices = {parameter.device for parameter in checkpoint.vlm.parameters()}
        self.fixed = devices == {self.device} and self.device.type == "cuda" if fixed is None else fixed
        self.banned = torch.tensor(checkpoint.vocabulary.never_sampled, device=self.device)
        self._tower = tower or Tower(checkpoint.vlm)
        self._studies: OrderedDict[bytes, Study] = OrderedDict()
        share(checkpoint.vlm)

    @cached_property
    def tower(self) -> str:
        return self._tower.digest() if self.features.keeps else ""

    @property
    def size(self) -> room.Size:
        """In the arithmetic of now, which a caller's autocast decides."""
        vlm = self.checkpoint.vlm
        return room.size_of(vlm, room.width_of(vlm, self.device))

    def open(self, prepared: Prepared) -> Study:
        """Read a study, or find it still open. Raises BadInput, see `read`."""
        key = _key(prepared)
        study = self._studies.pop(key, None) or self.read([prepared])[0]
        self._studies[key] = study
        while len(self._studies) > self.most:
            self._studies.popitem(last=False)
        return study

    @torch.no_grad()
    def read(self, prepared: Sequence[Prepared]) -> list[Study]:
        """Encode and prefill studies together. Raises BadInput where one was prepared under another contract than the
        checkpoint's, or where they don't fit."""
        own, contract = self.checkpoint.contract.digest(), self.checkpoint.contract
        if other := next((study.contract for study in prepared if study.contract != own), ""):
            raise BadInput(
                "this study was prepared in another way than the checkpoint was trained on",
                where=f"contract: found {other[:12]}, wanted {own[:12]}",
                next="prepare it under the checkpoint's own contract, or override a field of that by name",
            )
        vlm, vocabulary = self.checkpoint.vlm, self.checkpoint.vocabulary
        strips = [
            open_study(vocabulary, [grid_of(p.shape, contract) for p in study.slices], study.dimension, contract)
            for study in prepared
        ]
        shown = [picture for study in prepared for picture in study.slices]
        lengths, tokens = [len(strip) for strip in strips], sum(sum(strip.is_picture) for strip in strips)
        room.check(room.study_bytes(self.size, lengths, tokens), self.device, self.room_mb)
        encoded = iter(self.features.of(vlm, shown, contract, self.tower))
        pictures = [[next(encoded) for _ in study.slices] for study in prepared]
        memory = self._prefill(strips, [tokens for some in pictures for tokens in some])
        kept = [kv for kv in memory.kept if kv]
        # rotated keys are float32 under autocast, and cast again for each product with them
        layers = [[(k[i, :, :n].to(v.dtype), v[i, :, :n]) for k, v in kept] for i, n in enumerate(lengths)]
        return [Study(*parts) for parts in zip(prepared, strips, pictures, layers, strict=True)]

    def _prefill(self, strips: Sequence[Strip], features: list[Tensor]) -> Memory:
        """Memory of the strips, a row each."""
        vlm = self.checkpoint.vlm
        memory = Memory(len(vlm.model.language_model.layers))
        ids, is_picture, places, real = _pad(strips, [0] * len(strips), self.device)
        hidden(vlm, embed(vlm, ids, is_picture, features), places, looking(real[:, :0], real), memory)
        return memory

    def ask(
        self,
        asks: Sequence[Ask],
        sampling: Sampling,
        *,
        keep: bool = False,
        choose: Choose | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Rollout]:
        """Answer together; order is kept. Raises BadInput where it doesn't fit.

        keep: hold on to the answers' own memory for follow-ups. cancelled: asked before every token; answers that are
        not done then end as they are, truncated.
        """
        rows = self._rows(asks, sampling, keep=keep, choose=choose, cancelled=cancelled)
        for _ in rows.run():
            pass
        return rows.rollouts

    def stream(
        self,
        asks: Sequence[Ask],
        sampling: Sampling,
        *,
        keep: bool = False,
        choose: Choose | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """The same answers as `ask`, told as they come; closing the iterator ends them all."""
        yield from self._rows(asks, sampling, keep=keep, choose=choose, cancelled=cancelled).run(speak=True)

    def _rows(self, asks: Sequence[Ask], sampling: Sampling, **settings) -> "_Rows":
        if lost := next((a.after for a in asks if a.after and not a.after.kept), None):
            raise BadInput(
                "this answer can't be followed up",
                where=f"memory of the answer to {lost.question.id!r}: found none, wanted what `keep` holds on to",
                next="ask the first question with keep, then follow it up",
            )
        return _Rows(self, asks, sampling, **settings)


def answer(checkpoint: Checkpoint, asked: Sequence[tuple[Prepared, Question]], sampling: Sampling) -> list[Trace]:
    """One trace a question, in order."""
    return [trace_of(rollout, checkpoint) for rollout in roll_out(checkpoint, asked, sampling)]


def roll_out(
    checkpoint: Checkpoint,
    asked: Sequence[tuple[Prepared, Question]],
    sampling: Sampling,
    *,
    choose: Choose | None = None,
    features: Features | None = None,
    tower: Tower | None = None,
) -> list[Rollout]:
    """Answer questions about any number of studies; ask one several times to sample a group. Order is kept.

    Volumes and images are batched apart, so that rows of a batch are of like length. Raises BadInput, see `Engine`.
    """
    engine = Engine(checkpoint, features=features or Features(0), studies=0, tower=tower)
    rollouts: list[Rollout | None] = [None] * len(asked)
    sample, nth = [], dict[tuple, int]()
    first_asked: dict[int, int] = {}
    for i, (prepared, question) in enumerate(asked):
        key = (id(prepared), question.id, question.text)
        sample.append(nth.setdefault(key, 0))
        nth[key] += 1
        first_asked.setdefault(id(prepared), i)
    order = sorted(range(len(asked)), key=lambda i: (asked[i][0].slices.shape, first_asked[id(asked[i][0])]))
    for dimension in (2, 3):
        places = [i for i in order if asked[i][0].dimension == dimension]
        for first in range(0, len(places), sampling.rows):
            batch = places[first : first + sampling.rows]
            began = time.perf_counter()
            studies = {id(asked[i][0]): asked[i][0] for i in batch}
            read = dict(zip(studies, engine.read(list(studies.values())), strict=True))
            asks = [Ask(read[id(asked[i][0])], asked[i][1], sample[i]) for i in batch]
            for i, rollout in zip(batch, engine.ask(asks, sampling, choose=choose), strict=True):
                rollout.seconds = (time.perf_counter() - began) / len(batch)
                rollouts[i] = rollout
    return [rollout for rollout in rollouts if rollout is not None]


class _Rows:
    """Answers that advance together: the memory has a column a token."""

    def __init__(
        self,
        engine: Engine,
        asks: Sequence[Ask],
        sampling: Sampling,
        *,
        keep: bool,
        choose: Choose | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self.engine, self.sampling, self.keep, self.cancelled = engine, sampling, keep, cancelled
        self.vlm, self.vocabulary = engine.checkpoint.vlm, engine.checkpoint.vocabulary
        own = engine.checkpoint.contract
        self.contract = own.model_copy(update={"crop_slices": sampling.slices(own)})
        self.choose = choose or (lambda scores, rollouts: draw(scores, rollouts, sampling))
        self.narrowed = Ordered(self.vocabulary) if sampling.ordered_boxes else lambda scores, _: scores
        self.rollouts = [self._begin(row, one) for row, one in enumerate(asks)]
        self.row_of = list(range(len(asks)))  # which rollout each row of the memory belongs to
        self.told = [0] * len(asks)  # characters of the open step that were told
        flat = all(one.study.prepared.dimension == 2 for one in asks)
        begun = [len(r.branch) for r in self.rollouts]
        needed = room.answer_bytes(engine.size, begun, sampling, own, flat)
        room.check(needed, engine.device, engine.room_mb)
        studies = {id(one.study): one.study for one in asks}
        place = {key: i for i, key in enumerate(studies)}
        study_of = [place[id(one.study)] for one in asks]
        prefixes, before = [s.layers for s in studies.values()], [r.kept for r in self.rollouts]
        if engine.fixed:
            self.memory = Fixed(prefixes, study_of, before, room.columns(begun, sampling, own, flat))
        else:
            self.memory = Shared(prefixes, study_of, before)

    @torch.no_grad()
    def run(self, *, speak: bool = False) -> Iterator[Event]:
        """Until every answer is done. speak: tell every bit of text too."""
        scores = self._ask()
        while self.row_of:
            yield from self._sample_until_all_stop(scores, speak)
            self._let_go()
            if self.row_of:
                pictures = [self._close_step(i) for i in self.row_of]
                for i, shown in zip(self.row_of, pictures, strict=True):
                    yield from self._shown(i, shown)
                scores = self._inject(pictures)

    def _begin(self, row: int, asked: Ask) -> Rollout:
        study, question, before = asked.study, asked.question, asked.after
        places = tuple(study.prepared.frame.to_model(region) for region in question.regions)
        text = question_text(question, places)
        branch = ask_again(before.branch, self.vocabulary, text) if before else ask(study.strip, self.vocabulary, text)
        random = stream(self.sampling.seed, f"{question.id} {question.text}", asked.sample)
        begun = Rollout(study.prepared, question, study.strip, branch, len(branch), study.pictures, random, row)
        return replace(begun, features=list(before.features), kept=before.kept, fed=before.fed) if before else begun

    def _ask(self) -> Tensor:
        """Run the questions; those that are the same, of the samples of a group, are run once and then repeated."""
        alike: dict[tuple, int] = {}
        first = [
            alike.setdefault((id(r.shared), id(r.kept) if r.fed else 0, *r.branch.ids[r.fed :]), row)
            for row, r in enumerate(self.rollouts)
        ]
        unlike = list(alike.values())
        everyone, self.row_of = self.row_of, unlike
        self.memory.keep(unlike)
        scores = self._feed([self.rollouts[row].fed for row in unlike], [])
        again = [unlike.index(row) for row in first]
        self.row_of = everyone
        self.memory.keep(again)
        return scores[again]

    def _feed(self, since: Sequence[int], features: list[Tensor]) -> Tensor:
        """Run what each row's branch has gained; scores float32[rows, vocab] after its last token."""
        strips = [self.rollouts[i].branch for i in self.row_of]
        ids, is_picture, places, real = _pad(strips, since, self.engine.device)
        if isinstance(self.memory, Fixed) and real.shape[1] == 1 and not features:
            return self.memory.step(self.vlm, self.engine.banned, ids, places, real)
        embedded = embed(self.vlm, ids, is_picture, features)
        states = hidden(self.vlm, embedded, places, self.memory.look(real), self.memory)
        last = real.sum(1).clamp(min=1) - 1
        return scored(self.vlm, states[torch.arange(len(strips)), last], self.engine.banned)

    def _sample_until_all_stop(self, scores: Tensor, speak: bool) -> Iterator[Event]:
        """Lockstep: a row that closed a box or its turn waits for the others."""
        rollouts = [self.rollouts[i] for i in self.row_of]
        running = [True] * len(rollouts)
        while True:
            if self.cancelled():
                yield from self._cancel([r for r in rollouts if not r.done])
                return
            for row, (token, logprob) in enumerate(self.choose(self.narrowed(scores, rollouts), rollouts)):
                if not running[row]:
                    continue
                running[row] = self._take(rollouts[row], token, logprob)
                if speak:
                    yield from self._spoken(self.row_of[row], whole=not running[row])
                if rollouts[row].done:
                    yield Event(self.row_of[row], "answer", rollout=rollouts[row])
            if not any(running):
                return
            since = [len(r.branch) - goes for r, goes in zip(rollouts, running, strict=True)]
            scores = self._feed(since, [])

    def _cancel(self, rollouts: Sequence[Rollout]) -> Iterator[Event]:
        for rollout in rollouts:
            rollout.end(self.vocabulary.text(rollout.open_step), truncated=True)
            yield Event(rollout.row, "answer", rollout=rollout)

    def _take(self, rollout: Rollout, token: int, logprob: float) -> bool:
        """Store a sampled token; False when the row must wait (box closed) or is done."""
        rollout.branch.write([token], trained=True)
        rollout.logprobs.append(logprob)
        rollout.open_step.append(token)
        stopped = token == self.vocabulary.turn_end or self._said_stop(rollout)
        if stopped or len(rollout.logprobs) >= self.sampling.max_tokens:
            rollout.end(self.vocabulary.text(rollout.open_step), truncated=not stopped)
            return False
        return token != self.vocabulary.box_close

    def _said_stop(self, rollout: Rollout) -> bool:
        return bool(self.sampling.stop) and self.vocabulary.text(rollout.open_step).endswith(self.sampling.stop)

    def _spoken(self, i: int, *, whole: bool) -> Iterator[Event]:
        """What was said since; half a character waits for its other half. whole: the step is over."""
        text = self.vocabulary.text(self.rollouts[i].open_step)
        if whole or not text.endswith("\ufffd"):
            if text[self.told[i] :]:
                yield Event(i, "text", text[self.told[i] :])
            self.told[i] = 0 if whole else len(text)

    def _let_go(self) -> None:
        """Rows that are done leave the memory."""
        for row, i in enumerate(self.row_of):
            if self.keep and self.rollouts[i].done:
                self.rollouts[i].kept = kept = self.memory.of_row(row)
                self.rollouts[i].fed = kept[0][0].shape[1]
        rows = [row for row, i in enumerate(self.row_of) if not self.rollouts[i].done]
        self.row_of = [self.row_of[row] for row in rows]
        if rows:
            self.memory.keep(rows)

    def _close_step(self, i: int) -> list[np.ndarray]:
        """Read the box that ends this step; the pictures it brings, none when it is flawed."""
        rollout, most = self.rollouts[i], self.sampling.max_crops
        text = self.vocabulary.text(rollout.open_step)
        rollout.open_step = []
        frame = rollout.prepared.frame
        box = why_not_shown(text, rollout.rounds, frame.shape, self.sampling.max_boxes)
        shown = crop(rollout.prepared, box, self.contract) if isinstance(box, Box) else []
        if isinstance(box, Box) and most is not None and rollout.crops + len(shown) > most:
            box, shown = Flaw(text[-80:], f"more than {most} crops"), []
        rollout.crops += len(shown)
        if isinstance(box, Box):
            rollout.steps.append(Step(text, box=box, box_mm=frame.to_mm(box), crops=len(shown)))
        else:
            rollout.steps.append(Step(text, flaw=box))
        return shown

    def _shown(self, i: int, pictures: Sequence[np.ndarray]) -> Iterator[Event]:
        step = self.rollouts[i].steps[-1]
        if step.flaw:
            yield Event(i, "flaw", step.flaw.reason)
        else:
            yield Event(i, "box", box=step.box)
        for picture in pictures:
            yield Event(i, "crop", box=step.box, picture=picture)

    def _inject(self, pictures: Sequence[Sequence[np.ndarray]]) -> Tensor:
        """Answer every waiting row's box with its crops."""
        rollouts = [self.rollouts[i] for i in self.row_of]
        since = [len(rollout.branch) - 1 for rollout in rollouts]  # the closing tag itself is fed now
        engine = self.engine
        shown = [picture for some in pictures for picture in some]
        features = engine.features.of(self.vlm, shown, engine.checkpoint.contract, engine.tower)
        left = iter(features)
        for rollout, some in zip(rollouts, pictures, strict=True):
            inject(rollout.branch, some, self.contract, self.vocabulary)
            rollout.features += [next(left) for _ in some]
        return self._feed(since, features)


def _pad(strips: Sequence[Strip], since: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
    return ids.to(device), is_picture.to(device), places.to(device), real.to(device)


def _key(prepared: Prepared) -> bytes:
    told = f"{prepared.contract} {prepared.volume.digest} {prepared.slices.shape} ".encode()
    return hashlib.sha256(told + np.ascontiguousarray(prepared.slices).tobytes()).digest()
