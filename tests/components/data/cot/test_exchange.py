"""Groups: each option right exactly once, under each letter exactly once, and words that tell nothing."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.cot import exchange, families
from components.data.cot.exchange import APART_IOU, chosen, groups, questions
from components.data.cot.studies import Cutting, studies
from components.data.cot.style import Style
from components.data.cot.text_only import text_only, worst
from components.data.cot.wording import Words
from model.imaging import shards
from model.interface.boxes import Box, iou
from model.interface.question import Question
from tests.components.data.cot import blobs


@pytest.fixture(scope="module")
def proposed():
    random, found = np.random.default_rng(0), []
    for case in list(blobs.cases())[:40]:
        for _, sight in studies(case, case.open(), Cutting(4, 0), "train", random):
            found += families.proposals(sight, random)
    return found


@given(seed=st.integers(0, 99), most=st.integers(2, 6))
@settings(max_examples=12)
def test_members_share_their_words_and_differ_in_their_answers(proposed, seed, most):
    met = groups(proposed, np.random.default_rng(seed), most)
    used = [id(p) for group in met for p in group]
    assert len(used) == len(set(used))
    for group in met:
        assert 2 <= len(group) <= most
        assert len({p.key for p in group}) == 1
        assert len({p.sight.study for p in group}) == len(group)
        boxes = [p.answer for p in group if isinstance(p.answer, Box)]
        assert all(iou(a, b) < APART_IOU for k, a in enumerate(boxes) for b in boxes[:k])
        assert len({p.answer for p in group}) == len(group)
        assert len(boxes) in (0, len(group))


@given(seed=st.integers(0, 99))
@settings(max_examples=8)
def test_each_option_and_each_letter_is_right_once_in_a_group(proposed, seed):
    random = np.random.default_rng(seed)
    met = groups(proposed, random, 4)[:200]
    asked = iter(questions(met, Words(), Style(open=0), random))
    for group in met:
        some = [next(asked) for _ in group]
        assert len({q.text for q in some}) == 1
        assert sorted(map(right, some)) == list(range(len(group)))
        options = [{shown(q, k) for k in range(len(q.options))} for q in some]
        assert all(one == options[0] and len(one) == len(group) for one in options)
        assert len({shown(q, right(q)) for q in some}) == len(group)


def right(question: Question) -> int:
    assert question.answer is not None
    return question.answer


def shown(question: Question, k: int) -> str:
    option = question.options[k]
    return str(question.regions[int(option[1:-1])]) if option.startswith("{") else option


def test_families_take_turns_and_groups_stay_whole(proposed):
    random = np.random.default_rng(0)
    met = groups(proposed, random, 3)
    kept = chosen(met, (48, 36), random)
    assert {id(group) for group in kept} <= {id(group) for group in met}
    for dimension, wanted in ((2, 48), (3, 36)):
        count = Counter(g[0].family for g in kept if g[0].sight.dimension == dimension for _ in g)
        assert wanted <= sum(count.values()) <= wanted + 2
        assert max(count.values()) - min(count.values()) <= 6


def test_words_alone_give_nothing_away(built):
    asked = [q for split in ("train", "val", "test") for q in shards.read_questions(built.out, split)]
    found = text_only(asked)
    assert all(row["low"] <= 0.05 for row in found.values()), found
    large = {name: row for name, row in found.items() if row["n"] >= 150}
    assert len(large) > 5
    assert worst(large) < 0.05, large


def test_a_leak_in_the_words_is_found(built):
    """The baseline can fail: one word that goes with an answer is learnt."""
    asked = [q for q in shards.read_questions(built.out, "train") if q.family == "existence verification" and q.options]
    leaking = [replace(q, text=q.text + (" really" if q.options[right(q)] == "Yes" else "")) for q in asked]
    assert worst(text_only(leaking)) > 0.3


def test_ids_are_unique_and_words_vary(built):
    asked = shards.read_questions(built.out, "train")
    assert len({q.id for q in asked}) == len(asked)
    by_ask = defaultdict(set)
    for q in asked:
        by_ask[q.provenance.split("asked: ")[1]].add(q.text)
    assert max(map(len, by_ask.values())) > 8
    assert exchange.LOOKED_AT > 1
