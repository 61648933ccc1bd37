"""The independent check finds nothing in what was built, and finds whatever is broken."""

from collections import Counter
from dataclasses import replace

import pytest

from components.data.cot import build, check
from components.data.cot.check import Truth, wrong
from components.data.cot.plan import SPLITS, plan
from components.data.cot.studies import digest_of
from model.imaging import shards
from model.interface.boxes import Box
from model.interface.question import FAMILIES, Question, Remark
from tests.components.data.cot.conftest import config_of


def test_no_sample_of_more_than_twenty_thousand_is_wrong(blob_source, tmp_path):
    config = config_of(tmp_path / "data", cases=400)
    build.run(config)
    n, faults = check.check(config)
    assert n > 20_000
    assert faults == []


def test_every_family_is_asked_in_both_dimensions_closed_and_open(built):
    asked = [q for split in SPLITS for q in shards.read_questions(built.out, split)]
    met = Counter((q.dimension, q.family, bool(q.options)) for q in asked)
    assert all(met[d, family, closed] for d in (2, 3) for family in FAMILIES for closed in (True, False)), met


def test_a_verb_of_another_number_is_not_of_the_grammar():
    assert "Are the ribs seen?" in check.sentences("seen", ("ribs",))
    assert "Is the ribs seen?" not in check.sentences("seen", ("ribs",))


def moved(box: Box) -> Box:
    return Box.of((*(n + 1 for n in box.low), *(n + 1 for n in box.high)))


def first_box(question: Question, change) -> Question:
    k = next(k for k, remark in enumerate(question.rationale) if remark.box)
    told = [*question.rationale]
    told[k] = change(told[k])
    return replace(question, rationale=tuple(told))


HARMS = {
    "another letter": lambda q: replace(q, answer=(q.answer + 1) % len(q.options)),
    "a box a voxel off": lambda q: first_box(q, lambda r: replace(r, box=moved(r.box))),
    "a box of something else": lambda q: first_box(q, lambda r: replace(r, names="pancreas")),
    "an option twice": lambda q: replace(q, options=(*q.options, q.options[0])),
    "words of nobody": lambda q: replace(q, text=q.text + " Please."),
    "no word of what is asked": lambda q: replace(q, provenance="blobs"),
    "a box tag in the words": lambda q: replace(q, rationale=(Remark("<|box_start|>[1,2"), *q.rationale)),
    "an answer before the end": lambda q: replace(q, rationale=(*q.rationale, Remark("</think>A. no"))),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_broken_is_found(built, harm):
    """On every closed question that has a box in its rationale, but where both ways are true."""
    shard = plan(built)[0]
    by_case = {digest_of(case): case for case in shard.cases[:12]}
    asked = shards.read_questions(built.out, shard.name)
    tried = 0
    for study in shards.read_studies(built.out, shard.name):
        if study.group not in by_case:
            continue
        truth = Truth.of(by_case[study.group].open(), study.id, study.volume.plane)
        for question in (q for q in asked if q.study == study.id and q.options and any(r.box for r in q.rationale)):
            assert not list(wrong(question, truth))
            assert list(wrong(HARMS[harm](question), truth)), (harm, question)
            tried += 1
    assert tried > 100
