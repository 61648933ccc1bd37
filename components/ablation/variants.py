"""The training data of a cell: a sealed folder of its own, made of some heads of the whole set.

Which heads is the seed's; which studies of them the mixture's; whether the teacher points is the cell's. What a box is
answered with is no matter of the data: the contract says so. RL asks about other heads than its forerunner was taught
by, as the published data has rows of their own for it: what was learnt by heart earns nothing more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from components.ablation.cells import FILE, Cell, Plan
from model.imaging import shards
from model.interface.errors import BadInput
from model.interface.question import Question, Remark

SPLIT = "train"


@dataclass(frozen=True, slots=True)
class Made:
    studies: int
    """How many there are."""
    a_step: int
    """How many of them a step takes, see `a_step`."""


def write(data: Path, out: Path, cell: Cell, planned: Plan, seed: int) -> Made:
    """Write the folder; raises BadInput as `shards` does, and where no head is left for RL."""
    questions = shards.read_questions(data, SPLIT)
    asked = {question.study for question in questions}
    found = [(s.id, s.group, s.volume.dimension) for s in shards.read_studies(data, SPLIT) if s.id in asked]
    most = planned.training.heads, planned.rl.heads
    taught, asked_by_rl = drawn_heads((group for _, group, _ in found), most, seed)
    heads = asked_by_rl if cell.after else taught
    if not heads:
        where = f"{data}: found {len(taught)} heads with questions, wanted more than training.heads"
        raise BadInput("no head is left for RL", where=where, next=f"lower training.heads in {FILE}")
    there = [(name, dimension) for name, group, dimension in found if group in heads]
    kept = mixed(_with_volumes(there, cell.volumes, seed), cell.mixture, seed)
    shards.write_studies(out, SPLIT, (s for s in shards.read_studies(data, SPLIT) if s.id in kept))
    told = [question for question in questions if question.study in kept]
    shards.write_questions(out, SPLIT, told if cell.grounded else map(ungrounded, told))
    shards.seal(out)
    return Made(len(kept), a_step(len(kept), len(there), planned.training.studies))


def a_step(kept: int, there: int, size: int) -> int:
    """Studies a step, so that what is kept takes as many steps as all there are would by `size`, as near as whole
    studies come to it."""
    return max(1, round(kept / max(1, round(there / size))))


def drawn_heads(groups: Iterable[str], most: tuple[int, int], seed: int) -> tuple[set[str], set[str]]:
    """Heads to be taught by and others to be asked about, at most as many, the same for every cell of a seed."""
    heads = sorted(set(groups))
    order = [heads[i] for i in np.random.default_rng([seed, 11]).permutation(len(heads))]
    return set(order[: most[0]]), set(order[most[0] : sum(most)])


def _with_volumes(there: list[tuple[str, int]], most: int | None, seed: int) -> list[tuple[str, int]]:
    """All images, and at most as many volumes."""
    names = sorted(name for name, dimension in there if dimension == 3)
    left_out = {names[i] for i in np.random.default_rng([seed, 17]).permutation(len(names))[most:]} if most else set()
    return [study for study in there if study[0] not in left_out]


def mixed(there: list[tuple[str, int]], mixture: str, seed: int) -> set[str]:
    """Ids of the studies that are trained on. there: (id, dimension)."""
    if mixture in ("2d", "3d"):
        return {name for name, dimension in there if dimension == int(mixture[0])}
    if mixture == "joint":
        return {name for name, _ in there}
    volumes = sum(dimension == 3 for _, dimension in there)
    order = np.random.default_rng([seed, 13]).permutation(len(there))
    share = volumes / max(1, len(there))
    wanted = {3: round(volumes * share), 2: volumes - round(volumes * share)}
    kept: set[str] = set()
    for i in order:
        name, dimension = there[i]
        if wanted[dimension]:
            wanted[dimension] -= 1
            kept.add(name)
    return kept


def ungrounded(question: Question) -> Question:
    """The same thought without pointing: "The infarct is at […]" becomes "The infarct is seen."."""
    return replace(question, rationale=tuple(map(_in_words, question.rationale)))


def _in_words(remark: Remark) -> Remark:
    if not remark.box:
        return remark
    text = remark.text.removesuffix(" at")
    return replace(remark, text=f"{text} seen." if text != remark.text else remark.text, box=None)
