"""Estimates are bounds: what is really taken stays below."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.imaging.prepare import Prepared
from model.interface.errors import BadInput
from model.vlm import room
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Engine, _Rows, samples
from model.vlm.sampling import Sampling, dictated
from tests.model.vlm.test_engine import question

BOX = "<|box_start|>[0,0,0,9,9,4]<|box_end|>"


@given(words=st.lists(st.lists(st.sampled_from([BOX, "left " * 9, "no"]), max_size=6), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_never_take_more_than_was_told(words: list[list[str]], checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """However unlike the rows are, and however long some wait for others."""
    ids = [checkpoint.vocabulary.own("<think>" + "".join(some) + "</think>A. Yes<|im_end|>") for some in words]
    sampling = Sampling(max_tokens=max(map(len, ids)), max_boxes=6)
    engine = Engine(checkpoint)
    asks = samples(engine.open(cuboid), question(3), len(ids))
    rows = _Rows(engine, asks, sampling, keep=False, choose=dictated(ids), cancelled=lambda: False)
    told = room.answer_bytes(
        checkpoint.vlm, [len(r.branch) for r in rows.rollouts], sampling, checkpoint.contract, flat=False
    )
    taken = 0
    for _ in rows.run(speak=True):
        taken = max(taken, sum(k.nbytes + v.nbytes for k, v in filter(None, rows.memory.own.kept)))
    assert 0 < taken <= told


def test_a_studys_keys_and_values_are_within_its_estimate(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    study = Engine(checkpoint).open(cuboid)
    taken = sum(k.nbytes + v.nbytes for k, v in study.layers) + sum(p.nbytes for p in study.pictures)
    assert taken == len(study.strip) * room.bytes_a_token(checkpoint.vlm) + sum(p.nbytes for p in study.pictures)
    assert taken < room.study_bytes(checkpoint.vlm, [len(study.strip)], sum(study.strip.is_picture))


def test_free_memory_is_known_here_and_a_cap_wins() -> None:
    cpu = torch.device("cpu")
    free = room.free_bytes(cpu)
    assert free is None or free > room.MB
    room.check(5 * room.MB, cpu, 5)
    try:
        room.check(5 * room.MB + 1, cpu, 5)
    except BadInput as error:
        assert error.where == "memory of cpu: found 5 MB, wanted up to 6 MB"
    else:
        raise AssertionError("more than the cap was let through")
