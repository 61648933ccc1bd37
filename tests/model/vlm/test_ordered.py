"""Far corners that can't lie before near ones: exact for numbers of one token and for numbers spelled out."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.imaging.prepare import Prepared
from model.interface import grammar
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask, Engine, samples
from model.vlm.ordered import Ordered
from model.vlm.sampling import Sampling
from tests.model.vlm.test_engine import ids_said, question

SHAPE = (64, 48, 12)


class Spelled:
    """Qwen's way: a token a digit."""

    class Tokenizer:
        def get_vocab(self) -> dict[str, int]:
            return {letter: i for i, letter in enumerate("0123456789,]ab")}

    tokenizer = Tokenizer()


def texts(ordered: Ordered, text: str, shape: tuple[int, ...] = SHAPE) -> set[str]:
    names = {i: token for token, i in (ordered.digits | ordered.ends).items()}
    return {names[i] for i in ordered.allowed(text, shape)}


def test_digits_that_are_spelled_out() -> None:
    ordered = Ordered(Spelled())  # pyright: ignore[reportArgumentType]
    assert texts(ordered, "[31,26,4,") == set("3456")
    assert texts(ordered, "[31,26,4,3") == set("23456789")
    assert texts(ordered, "[31,26,4,6") == set("01234")
    assert texts(ordered, "[31,26,4,40") == {","}
    assert texts(ordered, "[31,26,4,40,40,") == set("56789") | {"1"}
    assert texts(ordered, "[31,26,4,40,40,1") == set("012")
    assert texts(ordered, "[31,26,4,40,40,12") == {"]"}
    assert texts(ordered, "[9,26,", SHAPE[:2]) == set("123456")


@pytest.mark.parametrize(
    "text", ["", "[", "[3", "[31,26,4", "(1,2,3,", "[64,2,3,", "[x,2,3,", "[1,2,3,4,5,6],", "[9,9,9,1.5"]
)
def test_what_can_not_be_helped_is_left_alone(text: str) -> None:
    assert Ordered(Spelled()).allowed(text, SHAPE) == []  # pyright: ignore[reportArgumentType]


@given(near=st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), data=st.data())
@settings(max_examples=60)
def test_whatever_is_allowed_ends_as_a_box(
    near: tuple[int, int, int], data: st.DataObject, checkpoint: Checkpoint
) -> None:
    """Every walk through what is allowed ends, and as a box inside; every such box can be walked to."""
    for ordered in (Ordered(Spelled()), Ordered(checkpoint.vocabulary)):  # pyright: ignore[reportArgumentType]
        text = "[" + ",".join(map(str, near)) + ","
        while not text.endswith("]"):
            text += data.draw(st.sampled_from(sorted(texts(ordered, text))))
        box = grammar.parse_box(text[1:-1])
        assert not isinstance(box, grammar.Flaw)
        assert box.within(SHAPE) == box


def test_no_box_of_a_hot_answer_is_inside_out(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """A random model told to open boxes: with the option their far corners lie beyond, without it few do."""
    vocabulary, engine = checkpoint.vocabulary, Engine(checkpoint)
    opening = vocabulary.own("<think><|box_start|>[3,4,1,")
    study = engine.open(cuboid)

    def said(sampling: Sampling) -> list[str]:
        from model.vlm.sampling import draw

        def choose(scores: torch.Tensor, rollouts):
            drawn = draw(scores, rollouts, sampling)
            return [
                (opening[len(r.logprobs)], 0.0) if len(r.logprobs) < len(opening) else token
                for r, token in zip(rollouts, drawn, strict=True)
            ]

        found = engine.ask(samples(study, question(3), 12), sampling, choose=choose)
        return [vocabulary.text(ids_said(r)[len(opening) :]) for r in found]

    free = Sampling(temperature=1.0, max_tokens=len(opening) + 6, seed=3)
    for text in said(replace(free, ordered_boxes=True)):
        numbers = text.partition("]")[0].split(",")
        assert all(a < int(n) <= b for a, n, b in zip((3, 4, 1), numbers, cuboid.frame.shape, strict=True))
    assert not all(text.partition("]")[0].replace(",", "").isdigit() for text in said(free))


def test_without_the_option_nothing_changes(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    engine = Engine(checkpoint)
    asks = [Ask(engine.open(cuboid), question(3))]
    hot = Sampling(temperature=1.0, max_tokens=30, seed=2)
    (plain,), (same,) = engine.ask(asks, hot), engine.ask(asks, replace(hot, ordered_boxes=True))
    assert checkpoint.vocabulary.box_open not in ids_said(plain), "else another seed"
    assert ids_said(plain) == ids_said(same)
    assert plain.logprobs == same.logprobs
