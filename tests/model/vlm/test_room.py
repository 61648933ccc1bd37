"""Estimates are bounds: what is really taken stays below."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.imaging.prepare import Prepared
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.vlm import room
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Engine, _Rows, samples
from model.vlm.sampling import Sampling, dictated
from tests.model.vlm.test_engine import question

SMALL = room.Size(depth=2, hidden=8, mlp=16, vocabulary=100, kv_width=4, width=4)
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
        engine.size, [len(r.branch) for r in rows.rollouts], sampling, checkpoint.contract, flat=False
    )
    taken = 0
    for _ in rows.run(speak=True):
        taken = max(taken, sum(k.nbytes + v.nbytes for k, v in filter(None, rows.memory.own.kept)))
    assert 0 < taken <= told


def test_a_studys_keys_and_values_are_within_its_estimate(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    engine = Engine(checkpoint)
    study = engine.open(cuboid)
    taken = sum(k.nbytes + v.nbytes for k, v in study.layers) + sum(p.nbytes for p in study.pictures)
    assert taken == len(study.strip) * engine.size.a_token + sum(p.nbytes for p in study.pictures)
    assert taken < room.study_bytes(engine.size, [len(study.strip)], sum(study.strip.is_picture))


def test_under_autocast_keys_and_values_are_of_its_type_and_told_so(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """Rotated keys come as float32 there, whatever the values are."""
    engine, whole = Engine(checkpoint), Engine(checkpoint).size
    with torch.autocast("cpu", torch.bfloat16):
        study = engine.open(cuboid)
        assert engine.size.a_token == whole.a_token // 2
        rows = _Rows(
            engine, samples(study, question(3), 2), Sampling(max_tokens=4), keep=False, choose=None,
            cancelled=lambda: False,
        )  # fmt: skip
        for _ in rows.run():
            pass
        kept = [*study.layers, *filter(None, rows.memory.own.kept)]
        assert {part.dtype for kv in kept for part in kv} == {torch.bfloat16}
        assert sum(k.nbytes + v.nbytes for k, v in study.layers) == len(study.strip) * engine.size.a_token
    assert engine.size == whole


def test_fewer_slices_and_boxes_are_fewer_columns(checkpoint: Checkpoint) -> None:
    paper = Contract(patch=14, crop_side=252, volume_side=252, image_side=252, crop_slices=32)
    asked = [Sampling(max_tokens=512, max_slices=n) for n in (None, 8, 1)]
    assert [room.columns([100] * 8, one, paper, flat=False) for one in asked] == [19712, 7680, 4352]
    assert room.columns([100] * 8, asked[0], paper, flat=True) == 4352
    assert room.columns([100] * 8, Sampling(max_tokens=512, max_boxes=1), paper, flat=False) == 3840


@pytest.mark.parametrize(
    ("width", "a_token", "a_pass", "rotated"),
    [
        (4, 2 * 2 * 4 * 4, 6 * 8 * 4 + 3 * 16 * 4, 0),
        (2, 2 * 2 * 4 * 2, 6 * 8 * 4 + 3 * 16 * 2, 2 * 4 * 4),  # keys are rotated as float32 first
    ],
)
def test_every_byte_of_a_small_batch_is_told(width: int, a_token: int, a_pass: int, rotated: int) -> None:
    """Worked out by hand: two studies of 5 and 3 tokens, a branch of each begun with 5 and 2, a crop of 1 + 2 tokens.

    With padding the studies are 10 tokens, and a mask has 10 x 5 bytes; a row's scores are four times 100 float32. A
    round is two crops, 6 tokens, or about an image the 5 that were asked; all rounds together fit 256 columns.
    """
    size, sampling = replace(SMALL, width=width), Sampling(max_tokens=4, max_boxes=1)
    contract = Contract(crop_side=16, crop_slices=2)
    rows = 2 * (2 * 256 * a_token + 4 * 4 * 100)
    assert room.study_bytes(size, [5, 3], 6) == 10 * (a_token + rotated + a_pass) + 50 + 6 * 8 * width
    assert room.answer_bytes(size, [5, 2], sampling, contract, flat=False) == rows + 2 * 6 * a_pass
    assert room.answer_bytes(size, [5, 2], sampling, contract, flat=True) == rows + 2 * 5 * a_pass
    kept = 2 * 10 * a_token + 8 * 8 * width
    assert room.batch_bytes(size, [5, 3], [5, 2], sampling, contract, flat=False) == kept + rows + 2 * 6 * a_pass


def test_a_batch_needs_room_for_its_studies_and_its_answers(checkpoint: Checkpoint) -> None:
    size, sampling = Engine(checkpoint).size, Sampling()
    told = room.batch_bytes(size, [900] * 3, [60] * 12, sampling, checkpoint.contract, flat=False)
    assert told > room.answer_bytes(size, [60] * 12, sampling, checkpoint.contract, flat=False) + 2700 * size.a_token
    short = Sampling(max_tokens=1, max_boxes=0)
    told = room.batch_bytes(size, [9000] * 3, [1], short, checkpoint.contract, flat=False)
    assert told == room.study_bytes(size, [9000] * 3, 27000)


def test_what_torch_has_taken_and_does_not_use_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"mem_get_info": (3 * room.MB, 99 * room.MB), "memory_reserved": 60 * room.MB, "memory_allocated": room.MB}
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert room.free_bytes(torch.device("cuda")) == 62 * room.MB


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
