"""The second half of pretraining: the language side learns to look things up in a frozen tower's tokens.

Pictures are encoded once and kept; each step draws scenes and many lessons about each, packed as
branches of one row, so that a volume's 600 tokens of pictures are paid for once for a dozen lessons.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.training.base.attention import Look, Watch
from components.training.base.lessons import Lesson, Teacher
from components.training.base.scenes import CLOSER_SPLIT, Scene
from components.training.base.tower import LEAST_IN_PATCH, patch_counts
from components.training.examples import Example, examples
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.grammar import THINK_CLOSE
from model.learning.packing import Packed, Row, pack
from model.vlm.checkpoint import Checkpoint
from model.vlm.forward import embed, hidden, logits
from model.vlm.tokens import Strip, Vocabulary, ask, open_study
from model.vlm.tower import encode_equal, grid_of

BLUR = (0.06, 0.24, 0.4, 0.24, 0.06)
"""A coordinate's target is spread over its neighbours (-2 … 2 px): being one off is not being wrong."""
WATCHED = {"layer": 2, "heads": (0, 3)}
"""Heads that are taught where to look: one of each group of keys, in the last layer but one."""
LOOKING = 0.3
"""Weight of that loss."""
BOXING = 4.0
"""Weight of the loss on what those heads find there: the box of what a token mostly shows, as shares of the sides.
A head of 32 numbers can't carry a box for each of 46 names; one for the token it can."""
ILL = 4.0
"""How much more a token of a lesion counts in it."""


DRILLS = 12
"""Drills of a row."""
DRILLED = ("letter", "conclusion")
"""What drills ask for."""
NEVER_LESS = 0.1
"""Added to the share of drills missed: a kind that is never missed is still drawn."""
MEMORY = 0.02
"""Weight of the last drill in that share."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A scene with its pictures already encoded."""

    teacher: Teacher
    shared: Strip
    bare: Strip
    """The shared strip without its pictures, for drills."""
    features: list[Tensor]
    """bfloat16[tokens, hidden] a picture."""
    holders: dict[str, np.ndarray]
    """By name, the columns of the shared strip whose tokens hold a good part of the thing."""
    shown: np.ndarray
    """float32[tokens, 7]: box (x1, y1, z1, x2, y2, z2, shares of the sides) of what a token shows; what it counts."""


@torch.no_grad()
def encode_scenes(
    vlm: Any,
    scenes: Sequence[Scene],
    names: Sequence[str],
    contract: Contract,
    vocabulary: Vocabulary,
    random: np.random.Generator,
) -> list[Taught]:
    taught = []
    for scene in scenes:
        slices = scene.prepared.slices
        features = encode_equal(vlm.model.visual, slices, contract).bfloat16()
        shared = open_study(vocabulary, [grid_of(slices.shape[1:], contract)] * len(slices), scene.dimension, contract)
        teacher = Teacher(scene, names, random)
        counts = token_counts(scene, names, contract)
        taught.append(
            Taught(
                teacher,
                shared,
                open_study(vocabulary, [], scene.dimension, contract),
                list(features),
                holders(counts, shared, names),
                shown(counts, scene, teacher.boxes, names),
            )
        )
    return taught


def token_counts(scene: Scene, names: Sequence[str], contract: Contract) -> np.ndarray:
    """Pixels of each label in each token, in reading order: int32[labels, tokens]."""
    in_patches = patch_counts(scene.labels, scene.cores, len(names), contract.patch).astype(np.int32)
    n, labels, rows, columns = in_patches.shape
    m = contract.merge
    counts = in_patches.reshape(n, labels, rows // m, m, columns // m, m).sum((3, 5))
    return counts.transpose(1, 0, 2, 3).reshape(labels, -1)


def shown(counts: np.ndarray, scene: Scene, boxes: Mapping[str, Box], names: Sequence[str]) -> np.ndarray:
    """`Taught.shown`: the lesion that lies in a token, else the largest of the structures in it."""
    out = np.zeros((counts.shape[1], 7), np.float32)
    depth, height, width = scene.labels.shape
    side = np.array([width, height, depth] * 2)
    most = np.zeros(counts.shape[1])
    for name in [*(name for name in boxes if name not in scene.lesions), *scene.lesions]:
        here, ill = counts[names.index(name)], name in scene.lesions
        wins = (here >= LEAST_IN_PATCH) & (ill | (here > most))
        most = np.where(wins, here, most)
        out[wins, :6] = np.array(boxes[name].numbers) / side
        out[wins, 6] = ILL if ill else 1.0
    return out


def holders(counts: np.ndarray, shared: Strip, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Tokens with at least a quarter of what the fullest token holds of a thing."""
    places = np.flatnonzero(shared.is_picture)
    full = counts.max(1)
    there = np.flatnonzero(full >= LEAST_IN_PATCH).tolist()
    return {names[k]: places[counts[k] >= max(LEAST_IN_PATCH, full[k] / 4)] for k in there}


def row_of(taught: Taught, lessons: int, vocabulary: Vocabulary) -> tuple[Row, list[Look]]:
    row = Row(taught.shared, [], [f.float() for f in taught.features])
    looks = [
        look for lesson in taught.teacher.lessons(lessons) for look in append(row, lesson, taught.holders, vocabulary)
    ]
    return row, looks


def append(row: Row, lesson: Lesson, holders: Mapping[str, np.ndarray], vocabulary: Vocabulary) -> list[Look]:
    """Write a lesson as the row's next branch; where its tokens should look, in columns of the row."""
    start = len(row)
    branch = ask(row.shared, vocabulary, lesson.text)
    branch.write(vocabulary.own(lesson.given))
    asked = len(branch)
    branch.write(vocabulary.own(lesson.answer), trained=True)
    row.branches.append(branch)
    looks = [
        Look(start + column, holders[name])
        for column, name in looks_of(lesson, branch.ids, asked, vocabulary)
        if name in holders
    ]
    if lesson.line:
        closing = branch.ids.index(vocabulary.id(THINK_CLOSE))
        looks.append(Look(start + closing, start + line_columns(lesson, vocabulary)))
    return looks


def line_columns(lesson: Lesson, vocabulary: Vocabulary) -> np.ndarray:
    """Columns of a branch that hold the right option's line."""
    told = vocabulary.tokenizer(
        lesson.text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    spans = np.array(told["offset_mapping"])
    first = lesson.text.index(f"\n{lesson.line}") + 1
    return np.flatnonzero((spans[:, 1] > first) & (spans[:, 0] < first + len(lesson.line)))


@dataclass(frozen=True)
class Drills:
    """Lessons without pictures about many scenes, by kind."""

    kinds: list[list[tuple[Taught, Callable[[], Lesson]]]]
    worth: np.ndarray
    """float64[kinds], how often each is drawn beside the others."""
    missed: np.ndarray
    """float64[kinds], running share of drills not answered right; 1 before the first."""
    by_need: bool
    """Whether the kinds that are missed are drawn the more."""

    @classmethod
    def about(cls, scenes: Sequence[Taught], drilled: Sequence[str] = DRILLED, *, by_need: bool = False) -> "Drills":
        """A kind is drawn as often as the root of the number of its drills says, or alike and then by need.

        A rare kind is as hard to learn as any; but alike from the start, the rare ones take the steps that which box is
        nearest needs to be learnt at all (docs/LOG.md).
        """
        kinds: dict[tuple[str, int, str], list[tuple[Taught, Callable[[], Lesson]]]] = {}
        for taught in scenes:
            for kind, drill in taught.teacher.drills():
                if kind[-1] in drilled:
                    kinds.setdefault(kind, []).append((taught, drill))
        many = np.array([len(kind) for kind in kinds.values()], float)
        worth = np.ones(len(kinds)) if by_need else np.sqrt(many)
        return cls(list(kinds.values()), worth, np.ones(len(kinds)), by_need)

    def draw(self, n: int, random: np.random.Generator) -> list[tuple[int, Taught, Lesson]]:
        """(kind, scene, lesson) of n drills."""
        if not self.kinds:
            return []
        worth = self.worth * (NEVER_LESS + self.missed if self.by_need else 1)
        drawn = random.choice(len(self.kinds), n, p=worth / worth.sum()).tolist()
        chosen = [(kind, *self.kinds[kind][random.integers(len(self.kinds[kind]))]) for kind in drawn]
        return [(kind, taught, drill()) for kind, taught, drill in chosen]

    def marked(self, kind: int, right: bool) -> None:
        """A drill of this kind was answered."""
        self.missed[kind] += MEMORY * ((not right) - self.missed[kind])


def look_closer_at(folder: Path, checkpoint: Checkpoint) -> tuple[list[Example], list[Example]]:
    """(images, volumes) of a corpus's `closer/` with the teacher's rationales and crops, encoded once."""
    found = examples(folder, CLOSER_SPLIT, checkpoint)[1].values()
    return [one for one in found if one.dimension == 2], [one for one in found if one.dimension == 3]


def drill_rows(drawn: Sequence[tuple[Taught, Lesson]], vocabulary: Vocabulary) -> list[tuple[Row, list[Look]]]:
    """Rows without pictures, a dozen drills each. A drill's tokens together count 1."""
    rows = []
    for start in range(0, len(drawn), DRILLS):
        some = drawn[start : start + DRILLS]
        row, looks = Row(some[0][0].bare, [], []), []
        for _, lesson in some:
            looks += append(row, lesson, {}, vocabulary)
            row.weights.append(1 / sum(row.branches[-1].trained))
        rows.append((row, looks))
    return rows


def looks_of(lesson: Lesson, ids: Sequence[int], asked: int, vocabulary: Vocabulary) -> Iterator[tuple[int, str]]:
    """(column, name): tokens of a branch that go before something to be looked up, and what that is.

    asked: how many of the branch's ids come before the answer. A box's own tokens all look at what it is around.
    """
    if lesson.seen:
        yield asked - 1, lesson.seen
    boxes = -1
    inside = False
    for column in range(asked, len(ids)):
        if ids[column] == vocabulary.box_open:
            inside, boxes = True, boxes + 1
        elif ids[column] == vocabulary.box_close:
            inside = False
        if inside:
            yield column, lesson.named[boxes]


def token_losses(vlm: Any, packed: Packed, vocabulary: Vocabulary, number_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy of each trained token, coordinates blurred, float[T]; and which were guessed right, bool[T].

    number_ids: int[256], ids of 0, 1, 2 …
    """
    states = hidden(vlm, embed(vlm, packed.ids, packed.is_picture, packed.features), packed.places, packed.mask)
    row, column = packed.target.unbind(1)
    scores = logits(vlm, states[row, column - 1], vocabulary)
    wanted = packed.ids[row, column]
    logprobs = scores.log_softmax(-1)
    loss = -logprobs.gather(-1, wanted[:, None])[:, 0]
    value = torch.full((scores.shape[-1],), -1)
    value[number_ids] = torch.arange(len(number_ids))
    number = value[wanted]
    is_number = number >= 0
    if is_number.any():
        near = (number[is_number, None] + torch.arange(-2, 3)).clamp(0, len(number_ids) - 1)
        blurred = -(logprobs[is_number].gather(-1, number_ids[near]) * torch.tensor(BLUR)).sum(-1)
        loss = loss.masked_scatter(is_number, blurred)
    return loss, scores.argmax(-1) == wanted


def reading_loss(watch: Watch, reader: torch.nn.Linear, some: Sequence[Taught]) -> Tensor:
    """Mean absolute error of the boxes read off what the watched layer is given of each visual token."""
    off, weight = [], []
    for row, taught in enumerate(some):
        shown = torch.from_numpy(taught.shown)
        states = watch.seen["states"][row, np.flatnonzero(taught.shared.is_picture)]
        off.append((reader(states) - shown[:, :6]).abs().mean(-1))
        weight.append(shown[:, 6])
    counted = torch.cat(weight)
    return (torch.cat(off) * counted).sum() / counted.sum().clamp(min=1)


def optimisers(
    layers: torch.nn.Module, trained: Sequence[torch.nn.Parameter], lr: float
) -> list[torch.optim.Optimizer]:
    """Muon (arXiv 2502.16982) for the layers' matrices, AdamW for all else; groups keep their peak rate."""
    matrices = [p for p in layers.parameters() if p.ndim == 2]
    taken = set(map(id, matrices))
    others = [p for p in trained if id(p) not in taken]
    muon = [{"params": matrices, "peak": 2 * lr}]
    adam = [{"params": others, "peak": lr}]
    return [
        torch.optim.Muon(muon, lr=lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(adam, lr=lr, weight_decay=0.02, betas=(0.9, 0.98)),
    ]


def teach(
    vlm: Any,
    images: Sequence[Taught],
    volumes: Sequence[Taught],
    vocabulary: Vocabulary,
    *,
    steps: int,
    lr: float,
    rows: tuple[int, int],
    lessons: tuple[int, int],
    drills: tuple[int, int],
    random: np.random.Generator,
    drilled: Sequence[str] = DRILLED,
    by_need: bool = False,
    boxing: float = BOXING,
    watched: Mapping[str, Any] = WATCHED,
    closer: tuple[Sequence[Example], Sequence[Example]] = ((), ()),
    close: tuple[int, int] = (0, 0),
    report: Callable[[int, dict[str, float]], None],
) -> None:
    """rows, lessons, drills, closer, close: (images, volumes) a step; drilled, by_need: which drills, see `Drills`.

    boxing: weight of the loss of that name; watched: layer and heads taught to look; close: how many of `closer`.

    The tower must be frozen.
    """
    school = School(vlm, vocabulary, Watch(vlm, **watched), _reader(vlm, random), boxing)
    kinds = [Drills.about(pool, drilled, by_need=by_need) for pool in (images, volumes)]
    trained = [*(p for p in vlm.parameters() if p.requires_grad), *school.reader.parameters()]
    parts = optimisers(vlm.model.language_model.layers, trained, lr)
    for step in range(steps):
        rate = min(1, (step + 1) / 100) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        for group in (group for part in parts for group in part.param_groups):
            group["lr"] = group["peak"] * rate
        seen = {}
        for pool, n, k, dimension in ((images, rows[0], lessons[0], "2d"), (volumes, rows[1], lessons[1], "3d")):
            some = [pool[i] for i in random.integers(0, len(pool), n)]
            seen |= {f"{name}_{dimension}": value for name, value in school.look_up(some, k).items()}
        drawn = [(some, *one) for some, n in zip(kinds, drills, strict=True) for one in some.draw(n, random)]
        seen |= {f"{name}_drill": value for name, value in school.conclude(drawn).items()} if drawn else {}
        for pool, n, dimension in zip(closer, close, ("2d", "3d"), strict=True):
            if pool and n:
                few = [pool[i] for i in random.integers(0, len(pool), n)]
                seen |= {f"{name}_closer_{dimension}": value for name, value in school.look_closer(few).items()}
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for part in parts:
            part.step()
            part.zero_grad(set_to_none=True)
        report(step + 1, seen)
    school.watch.close()


def _reader(vlm: Any, random: np.random.Generator) -> torch.nn.Linear:
    """What reads boxes off the watched layer; thrown away in the end."""
    with torch.random.fork_rng():
        torch.manual_seed(int(random.integers(2**31)))
        return torch.nn.Linear(vlm.config.text_config.hidden_size, 6)


@dataclass
class School:
    """Gradients of the two halves of a step."""

    vlm: Any
    vocabulary: Vocabulary
    watch: Watch
    reader: torch.nn.Linear
    boxing: float

    def __post_init__(self) -> None:
        self.number_ids = torch.tensor([self.vocabulary.id(str(n)) for n in range(256)])

    def look_up(self, some: Sequence[Taught], lessons: int) -> dict[str, float]:
        """Lessons behind the pictures of some scenes."""
        drawn = [(taught, *row_of(taught, lessons, self.vocabulary)) for taught in some]
        drawn = [one for one in drawn if one[1].branches]
        packed = pack([row for _, row, _ in drawn], 128)
        losses, right = token_losses(self.vlm, packed, self.vocabulary, self.number_ids)
        parts = {
            "loss": losses.mean(),
            "looking": self.watch.loss([looks for _, _, looks in drawn], packed.mask),
            "reading": reading_loss(self.watch, self.reader, [taught for taught, _, _ in drawn]),
        }
        (parts["loss"] + LOOKING * parts["looking"] + self.boxing * parts["reading"]).backward()
        return {"right": share(right)} | {name: part.item() for name, part in parts.items()}

    def look_closer(self, some: Sequence[Example]) -> dict[str, float]:
        """Whole rationales, with what their boxes show injected. "letter": the right ones, told by the crops alone."""
        packed = pack([example.row(range(len(example.branches))) for example in some], 128)
        losses, right = token_losses(self.vlm, packed, self.vocabulary, self.number_ids)
        losses.mean().backward()
        return {"loss": losses.mean().item(), "right": share(right), "letter": share(right[self.letters(packed)])}

    def conclude(self, drawn: Sequence[tuple[Drills, int, Taught, Lesson]]) -> dict[str, float]:
        """Drills, marked. "letter": the right letters among those that follow a given rationale."""
        rows = drill_rows([(taught, lesson) for _, _, taught, lesson in drawn], self.vocabulary)
        packed = pack([row for row, _ in rows], 64)
        losses, right = token_losses(self.vlm, packed, self.vocabulary, self.number_ids)
        loss = (losses * packed.weights).sum() / packed.weights.sum()
        looking = self.watch.loss([looks for _, looks in rows], packed.mask)
        (loss + LOOKING * looking).backward()
        taught = [sum(branch.trained) for row, _ in rows for branch in row.branches]
        for (drills, kind, _, _), told in zip(drawn, right.split(taught), strict=True):
            drills.marked(kind, bool(told.all()))
        letter = self.letters(packed)
        seen = {"loss": loss.item(), "looking": looking.item(), "right": share(right)}
        return seen | ({"letter": share(right[letter])} if letter.any() else {})

    def letters(self, packed: Packed) -> Tensor:
        """bool[T]: which trained tokens are letters of options."""
        row, column = packed.target.unbind(1)
        return packed.ids[row, column - 1] == self.vocabulary.id(THINK_CLOSE)


def share(right: Tensor) -> float:
    return float(right.float().mean())
