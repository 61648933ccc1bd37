"""Signals of how sure a box is."""

import pytest
import torch

from model.imaging.prepare import Prepared
from model.vlm.checkpoint import Checkpoint
from model.vlm.confidence import box_logprobs, pointed
from model.vlm.engine import Ask, Engine, samples
from model.vlm.sampling import Sampling, dictated
from tests.model.vlm.test_engine import question


def said(checkpoint: Checkpoint, image: Prepared, texts: list[str]):
    engine = Engine(checkpoint)
    ids = [checkpoint.vocabulary.own(text) for text in texts]
    return engine.ask(samples(engine.open(image), question(2), len(texts)), Sampling(), choose=dictated(ids))


def test_likelihood_is_that_of_the_tokens_between_the_tags(checkpoint: Checkpoint, image: Prepared) -> None:
    box, broken = "<|box_start|>[3,4,20,17]<|box_end|>", "<|box_end|> <|box_start|>[9]<|box_end|>"
    text = f"<think>At {box} or {broken}</think>A. Yes<|im_end|>"
    (rollout,) = said(checkpoint, image, [text])
    ids = checkpoint.vocabulary.own(text)
    first = ids.index(checkpoint.vocabulary.box_open) + 1
    last = ids.index(checkpoint.vocabulary.box_close)
    boxes = box_logprobs(rollout, checkpoint.vocabulary)
    assert [len(some) for some in boxes] == [last - first, 0, len(checkpoint.vocabulary.own("[9]"))]
    assert boxes[0] == rollout.logprobs[first:last]
    (one,) = pointed(rollout, [], checkpoint.vocabulary)
    assert one.likelihood == pytest.approx(float(torch.tensor(boxes[0]).mean().exp()), rel=1e-5)
    assert one.agreement == 1.0


def test_agreement_counts_every_sample_once(checkpoint: Checkpoint, image: Prepared) -> None:
    """The same box, half of it, another before the same, and none: 1, 1/2, 1 and 0."""
    box, half, far = (f"<|box_start|>{n}<|box_end|>" for n in ("[0,0,8,8]", "[0,0,8,4]", "[20,20,30,30]"))
    texts = [f"<think>{b}</think>A. Yes<|im_end|>" for b in (box, box, half, far + box, "none")]
    answer, *others = said(checkpoint, image, texts)
    (one,) = pointed(answer, others, checkpoint.vocabulary)
    assert one.agreement == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert 0 < one.raw < 1


def test_a_follow_up_is_read_from_where_it_begins(checkpoint: Checkpoint, image: Prepared) -> None:
    engine = Engine(checkpoint)
    words = [checkpoint.vocabulary.own("<think><|box_start|>[0,0,8,8]<|box_end|></think>A. Yes<|im_end|>")]
    study = engine.open(image)
    (first,) = engine.ask([Ask(study, question(2))], Sampling(), keep=True, choose=dictated(words))
    (more,) = engine.ask([Ask(study, question(2, "Where?"), after=first)], Sampling(), choose=dictated(words))
    assert len(box_logprobs(more, checkpoint.vocabulary)) == 1
    assert len(pointed(more, [first], checkpoint.vocabulary)) == 1
