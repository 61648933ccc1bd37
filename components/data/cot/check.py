"""Every sample worked out again, from whole masks, by another road than the one that made it.

The cases are opened again, their outlines painted into whole arrays (`truth`), and each question's boxes, answer, wrong
options, words, sides and remarks (`remarks`) compared with what those arrays say. Nothing of `things`, `families` or
`exchange` is used. Of rationales in a model's own words there may be as many as the shard's receipt tells.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.data.cot import receipts, studies
from components.data.cot.plan import CotConfig, Shard, plan
from components.data.cot.remarks import sentences, wrong_remarks
from components.data.cot.truth import SIDES, Truth, holds
from components.data.cot.workers import pool
from components.data.sources.case import Labelled
from components.data.sources.ontology import entry
from model.imaging import shards
from model.interface.grammar import THINK_OPEN, parse, write_answer, write_box
from model.interface.prompt import filled
from model.interface.question import Question

ASKED = re.compile(r"; asked: (?P<ask>[^;]+); about: (?P<about>.+)\Z")
NOTE = re.compile(r" The longest side of the .*\Z")
TWO_NAMES = ("larger", "inside", "relation x", "relation y", "relation z")
"""Asked about two things."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A sample that is not as the masks say."""

    question: str
    what: str


def check(config: CotConfig) -> tuple[int, list[Fault]]:
    """(samples checked, what is wrong) of a finished build."""
    receipts.check_finished(config.out)
    shards.verify(config.out)
    todo = plan(config)
    with pool(config.workers) as processes:
        found = list(processes.map(check_shard, todo, [config] * len(todo)))
    return sum(n for n, _ in found), [fault for _, faults in found for fault in faults]


def check_shard(shard: Shard, config: CotConfig) -> tuple[int, list[Fault]]:
    asked: dict[str, list[Question]] = {}
    samples = shards.read_questions(config.out, shard.name)
    for question in samples:
        asked.setdefault(question.study, []).append(question)
    cases = {studies.digest_of(case): case for case in shard.cases}
    told = json.loads(receipts.receipt_file(config.out, shard.name).read_text()).get("rewritten")
    rewritten: int = told["accepted"] if told else 0
    faults: list[Fault] = []
    own: dict[str, list[Fault]] = {}
    opened: tuple[str, Labelled] | None = None
    for study in shards.read_studies(config.out, shard.name):
        if study.id not in asked:
            continue
        if opened is None or opened[0] != study.group:
            opened = study.group, cases[study.group].open()
        truth = Truth.of(opened[1], study.id, study.volume.plane)
        for question in asked.pop(study.id):
            found = [Fault(question.id, what) for what in wrong(question, truth)]
            if found and rewritten and not any(wrong(question, truth, own_words=True)):
                own[question.id] = found
            else:
                faults += found
    if len(own) > rewritten:  # no more than were rewritten may have words of no grammar
        faults += [fault for found in own.values() for fault in found]
    faults += [Fault(q.id, "its study is not stored") for rest in asked.values() for q in rest]
    return len(samples), faults


def wrong(question: Question, truth: Truth, *, own_words: bool = False) -> Iterator[str]:
    """Everything about a question that isn't so.

    own_words: its rationale may have been rephrased, and must state the same.
    """
    told = ASKED.search(question.provenance)
    if not told:
        yield "its provenance doesn't say what is asked"
        return
    ask, about = told["ask"], [] if told["about"] == "lesions" else told["about"].split(", ")
    if len(about) != (0 if ask == "kind" else 2 if ask in TWO_NAMES else 1):
        yield f"its provenance says {ask} of {len(about)} names"
        return
    yield from _wrong_form(question, ask, about)
    yield from _wrong_trace(question, truth)
    absent = _needed(ask, about) - truth.here
    if absent:
        yield f"{', '.join(sorted(absent))} is not here, and is asked about: {ask}"
        return
    note = _note(truth) if ask == "diameter" else ""
    if not question.text.endswith(note) or bool(NOTE.search(question.text)) != bool(note):
        yield f"its length: found {question.text!r}, wanted {note!r} at its end"
    yield from wrong_remarks(question, ask, about, truth, own_words=own_words)
    options = list(question.options) if question.options else [_right(question)]
    for k, option in enumerate(options):
        is_right = k == question.answer if question.options else True
        value = question.regions[int(option[1:-1])] if option.startswith("{") else option
        if holds(ask, about, value, truth) is not is_right:
            yield f"{ask} about {about}: {option!r} is said to be {'right' if is_right else 'wrong'}"


def _needed(ask: str, about: Sequence[str]) -> set[str]:
    """What must be there for a question to have an answer."""
    if ask in ("seen", "lesion seen"):
        return set()
    return {f"{side} {about[0]}" for side in SIDES} if ask.endswith(" side") else set(about)


def _right(question: Question) -> str:
    return question.reply if question.answer is None else question.options[question.answer]


def _note(truth: Truth) -> str:
    """Without which a length in mm can't be told."""
    return f" The longest side of the {'picture' if truth.flat else 'volume'} is {truth.longest_side:.0f} mm."


def _wrong_form(question: Question, ask: str, about: Sequence[str]) -> Iterator[str]:
    if question.answer is None if question.options else not question.reply:
        yield "it has no answer"
    if len(set(question.options)) < len(question.options) or len(set(question.regions)) < len(question.regions):
        yield "two options are the same"
    worded = "where" if ask == "which box" and not question.options else ask
    if NOTE.sub("", question.text) not in sentences("ask", worded, *about):
        yield f"its words are not of the grammar: {question.text!r}"


def _wrong_trace(question: Question, truth: Truth) -> Iterator[str]:
    """Read as the model's answer would be."""
    said = " ".join(f"{r.text} {write_box(r.box, flat=truth.flat)}" if r.box else r.text for r in question.rationale)
    reply = filled(_right(question), question.regions, flat=truth.flat)
    read = parse(f"{THINK_OPEN}{said}{write_answer(question.letter or '', reply)}")
    if read.flaws or read.choice != question.letter:
        yield f"its trace is read as {read.choice} with {[flaw.reason for flaw in read.flaws]}"
    boxes = [remark for remark in question.rationale if remark.box]
    if len(read.evidence) != len(boxes):
        yield f"{len(read.evidence)} boxes are read, {len(boxes)} were meant"
    for remark in boxes:
        names = truth.lesions if remark.names == "lesion" else {remark.names}
        if not any(name in truth.here and truth.box(name) == remark.box for name in names):
            yield f"{remark.names} is not at {remark.box}"
    for name in {remark.names for remark in boxes} if truth.sides and 0 in truth.axes else ():
        pair = name, entry(name).partner
        if (
            entry(name).side == "left"
            and set(pair) <= truth.here
            and truth.centre(pair[0])[0] > truth.centre(pair[1])[0]
        ):
            yield f"{pair[0]} lies right of {pair[1]}"
