import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.imaging.crop import crop
from model.imaging.prepare import Prepared
from model.interface.boxes import Box, iou
from model.interface.question import Question
from model.vlm import engine
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import roll_out
from model.vlm.regions import elsewhere, look
from model.vlm.sampling import Sampling, dictated
from tests.model.vlm.conftest import SMALL

BOX = Box.of((3, 4, 20, 17))


@given(st.integers(0, 24), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_elsewhere_is_as_large_inside_and_off_the_box(at: int, width: int, height: int, seed: int) -> None:
    box = Box.of((at, at, 1, at + width, at + height, 3))
    found = elsewhere(box, (32, 32, 4), np.random.default_rng(seed))
    assert found.size == box.size
    assert found.within((32, 32, 4)) == found
    assert iou(box, found) == 0


def test_a_box_that_fills_the_picture_has_nowhere_else_to_be() -> None:
    box = Box.of((0, 0, 32, 32))
    assert elsewhere(box, (32, 32, 1), np.random.default_rng(0)) == box


def test_asked_is_the_cropper_and_random_is_an_equal_picture_of_another_place(image: Prepared) -> None:
    asked, random = (look(image, BOX, SMALL, policy) for policy in ("asked", "random"))
    assert [p.tolist() for p in asked] == [p.tolist() for p in crop(image, BOX, SMALL)]
    assert [p.shape for p in random] == [p.shape for p in asked]
    assert not np.array_equal(random[0], asked[0])
    again = look(image, BOX, SMALL, "random")
    assert np.array_equal(random[0], again[0])
    assert look(image, BOX, SMALL, "none") == []


@pytest.mark.parametrize("policy", ["asked", "none", "random"])
def test_the_engine_answers_a_box_with_what_the_policy_says(
    checkpoint: Checkpoint, image: Prepared, monkeypatch: pytest.MonkeyPatch, policy
) -> None:
    ids = checkpoint.vocabulary.own("<think>at <|box_start|>[3,4,20,17]<|box_end|></think>A. Yes<|im_end|>")
    monkeypatch.setattr(engine, "draw", lambda scores, rollouts, _: dictated([ids])(scores, rollouts))
    asked = Question("q", "s", "p", "test", 2, "existence verification", "Is it?", ("Yes", "No"), 0)
    (rollout,) = roll_out(checkpoint, [(image, asked)], Sampling(crops=policy))
    wanted = look(image, BOX, SMALL, policy)
    assert rollout.steps[0].box == BOX
    assert rollout.steps[0].crops == len(rollout.features) == len(wanted)
    assert [len(tokens) for tokens in rollout.features] == [p.shape[0] * p.shape[1] // SMALL.factor**2 for p in wanted]
