"""Answers that changed, side by side: their words, and where the data is at hand the pages of both traces in one.

A trace page is `serving`'s own, self-contained; two of them stand in frames beside one another, whose page holds
nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from components.compare.differences import Changed
from components.compare.runs import Run, together, trace
from components.serving.page import write_page
from components.serving.picture import picture
from model.imaging import shards
from model.imaging.prepare import prepare
from model.imaging.shards import Study
from model.interface.contract import Contract
from model.interface.question import Question
from model.interface.writing import write_text

BESIDE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{margin:0;font:15px system-ui}} main{{display:flex;height:calc(100vh - 2.2em)}}
h1{{font-size:1em;margin:0;padding:.6em 1em;height:1em;overflow:hidden}}
section{{flex:1;display:flex;flex-direction:column}} iframe{{flex:1;border:0;border-top:1px solid #d1d9e0}}
section+section{{border-left:3px solid #d1d9e0}}</style></head>
<body><main>{sides}</main></body></html>
"""


@dataclass(frozen=True, slots=True)
class Item:
    """A changed question as the page tells it."""

    question: str
    dimension: int
    gained: bool
    seeds: int
    of: int
    """Seeds in all."""
    text: str
    options: tuple[str, ...]
    right: str
    """The right letter, or the right words; "" where nobody knows."""
    ours: str
    """What was said, tags and all."""
    theirs: str
    link: str
    """To both traces, relative to the page; "" where there is no data."""


class Data:
    """Questions and studies of a split, read once; nothing where there is no such folder, or none is named."""

    def __init__(self, folder: Path | None, split: str = "test") -> None:
        there = folder if folder and (folder / shards.MANIFEST).is_file() else None
        self.there = there is not None
        questions = shards.read_questions(there, split) if there else []
        self.questions: Mapping[str, Question] = {question.id: question for question in questions}
        self._studies = {s.id: s for s in shards.read_studies(there, split)} if there else {}

    def study(self, question: Question) -> Study:
        return self._studies[question.study]


def items(
    ours: Run, theirs: Run, some: Sequence[Changed], data: Data, base: Contract | None, page: Path, pair: int = 0
) -> list[Item]:
    """Write the pages that belong to `page`, and say what it tells of each. base: what runs' contracts differ from.

    pair: which of the page's pairs of runs this is.
    """
    seeds, _ = together(ours, theirs)
    found = []
    for one in some:
        question = data.questions.get(one.question)
        link = ""
        if question and base:
            name = re.sub(r"[^\w-]", "_", f"{one.question}-{pair}")
            link = f"{page.stem}-items/{name}.html"
            _beside(page.parent / link, (ours, theirs), seeds[0], question, data.study(question), base)
        said, other = (run.seeds[seeds[0]][one.question] for run in (ours, theirs))
        text, options = parted(said.asked)
        found.append(
            Item(
                question=one.question,
                dimension=one.dimension,
                gained=one.gained,
                seeds=one.seeds,
                of=len(seeds),
                text=text,
                options=options,
                right=said.truth,
                ours=said.said,
                theirs=other.said,
                link=link,
            )
        )
    return found


def parted(asked: str) -> tuple[str, tuple[str, ...]]:
    """The question and its lettered options, of what `prompt.user_text` wrote; none of an open question."""
    text, lettered, rest = asked.rpartition("\n\nA. ")
    return (text, tuple(re.split(r"\n(?=[A-Z]\. )", f"A. {rest}"))) if lettered else (asked, ())


def pictures(run: Run, seed: int, data: Data, base: Path = Path("checkpoints/base")) -> dict[str, np.ndarray]:
    """By name, uint8[h, w, 3]: the first right and the first wrong answer about a volume; none without the data."""
    if not data.there or not (base / "contract.json").is_file():
        return {}
    contract = Contract.model_validate(Contract.load(base).model_dump() | run.contract)
    found = {}
    for row in sorted(run.seeds[seed].values(), key=lambda row: (-row.dimension, row.question)):
        name = "right" if row.right else "wrong"
        if name not in found and row.question in data.questions:
            question = data.questions[row.question]
            prepared = prepare(data.study(question).volume, contract)
            told = trace(row, prepared.frame, prepared.volume.digest)
            found[name] = np.asarray(picture(told, prepared, question, contract))
        if len(found) == 2:
            break
    return found


def _beside(file: Path, both: tuple[Run, Run], seed: int, question: Question, study: Study, base: Contract) -> None:
    sides = []
    for k, run in enumerate(both):
        contract = Contract.model_validate(base.model_dump() | run.contract)
        prepared = prepare(study.volume, contract)
        told = trace(run.seeds[seed][question.id], prepared.frame, prepared.volume.digest)
        place = file.with_name(f"{file.stem}-{k}.html")
        write_page(told, prepared, question, place, contract)
        sides.append(f'<section><h1>{escape(run.title)}</h1><iframe src="{place.name}"></iframe></section>')
    write_text(file, BESIDE.format(title=escape(question.id), sides="".join(sides)))
