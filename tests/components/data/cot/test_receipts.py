"""A receipt tells what is in its shard, what was assumed of its cases, and whose sides nobody may be asked about."""

import json
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from components.data import gates
from components.data.cot import receipts
from components.data.cot.plan import CotConfig, Source, plan
from components.data.cot.receipts import Assumed, plan_digest, receipt_file
from components.data.cot.studies import digest_of
from model.imaging import shards
from model.interface.errors import BadInput
from tests.components.data.cot import blobs
from tests.components.data.sources.layouts import AS_STORED, folder


def test_a_receipt_tells_what_is_in_its_shard(built):
    for shard in plan(built):
        told = json.loads(receipt_file(built.out, shard.name).read_text())
        asked = shards.read_questions(built.out, shard.name)
        assert sum(told["questions"].values()) == len(asked)
        assert told["cases"] == len(shard.cases)
        assert {q.split for q in asked} == {shard.split}


def test_what_is_known_of_sides_is_counted_and_the_contradicted_named():
    assumed = Assumed()
    case, k = next(blobs.cases()), 0
    while not gates.paired(blobs.body(k).outlines):
        k += 1
    assumed.add(case, blobs.body(k))
    assumed.add(case, blobs.mirrored(k))
    assumed.add(case, blobs.body(0, known=False))
    assert assumed.to_json()["sides"] == {"known": 1, "checked": 2, "crossed": [digest_of(case)]}
    with pytest.raises(BadInput, match="the wrong way round"):
        assumed.add(case, replace(blobs.mirrored(k), sides="patient"))


def test_a_plan_is_the_same_in_another_process_and_where_the_set_was_moved_to(tmp_path):
    """Or a finished build would be made again."""
    folder(tmp_path / "set", np.random.default_rng(1), AS_STORED)
    source = Source(name="folder", root=tmp_path / "set")
    config = CotConfig(sources=(source,), out=tmp_path / "out")
    (before, *_) = plan(config)
    told = plan_digest(before, config)
    assert plan_digest(pickle.loads(pickle.dumps(before)), config) == told
    (tmp_path / "set").rename(tmp_path / "moved")
    moved = config.model_copy(update={"sources": (Source(name="folder", root=tmp_path / "moved", cases=9),)})
    assert plan_digest(plan(moved)[0], moved) == told
    (tmp_path / "moved/names.tsv").write_text("7\tliver\n300\t\n40000\tspleen\n")
    assert plan_digest(plan(moved)[0], moved) != told


def test_warnings_are_counted_by_reason_a_case_once():
    assumed = Assumed()
    case, body = next(blobs.cases()), blobs.body(0)
    for angle in (7, 12.5):
        told = (f"oblique by {angle} degrees", f"oblique by {angle + 1} degrees", "label 'rib 25' is not known")
        assumed.add(case, replace(body, warnings=told[1:], volume=replace(body.volume, warnings=told[:1])))
    told = [assumed.to_json() | {"source": "blobs", "cases": 2}] * 2
    assert receipts.warnings(told) == {"label 'rib 25' is not known": 4, "oblique by N degrees": 4}
    assert receipts.sides(told)["blobs"]["cases"] == 4
    assert Counter(receipts.sides(told)["blobs"]["crossed"]) == Counter()
