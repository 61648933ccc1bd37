"""The engine against a cold, whole-row forward of transformers' own code."""

from dataclasses import replace
from math import prod

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.grammar import write_box
from model.interface.question import Question
from model.vlm import engine
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Rollout, Sampling, roll_out, trace_of
from model.vlm.tokens import Vocabulary
from model.vlm.tower import patchify


def question(dimension: int, text: str = "Which box holds the left hippocampus?") -> Question:
    return Question("q", "s", "p", "test", dimension, "existence verification", text, ("Yes", "No"), 0)


class Dictated(Vocabulary):
    """Reads off what to say: the next token's score is raised, whatever the model thinks."""


@pytest.fixture
def dictate(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    """Force the same words on every row; the engine's own path (memory, injection) stays as it is."""

    def speak(text: str) -> list[list[torch.Tensor]]:
        ids = checkpoint.vocabulary.own(text)
        seen: list[list[torch.Tensor]] = []

        def draw(self, scores):
            seen.append([row.clone() for row in scores])
            logprobs = scores.log_softmax(-1)
            said = []
            for row, i in enumerate(self.row_of):
                at = min(len(self.rollouts[i].logprobs), len(ids) - 1)
                said.append((ids[at], float(logprobs[row, ids[at]])))
            return said

        monkeypatch.setattr(engine._Batch, "_draw", draw)
        return seen

    return speak


IMAGE_ANSWER = (
    "<think>The left thalamus is at <|box_start|>[3,4,20,17]<|box_end|> "
    "It is at <|box_start|>[0,0,9,30]<|box_end|>.</think>A. Yes<|im_end|>"
)


def cold_logprobs(checkpoint: Checkpoint, rollout: Rollout, pictures: list) -> torch.Tensor:
    """Log-probabilities of the whole row, from ids and pixels, by `Qwen2_5_VLForConditionalGeneration.forward`."""
    ids = torch.tensor([rollout.shared.ids + rollout.branch.ids])
    types = torch.tensor([rollout.shared.is_picture + rollout.branch.is_picture]).int()
    contract = checkpoint.contract
    patches = torch.cat([patchify(p[None], contract)[0] for p in pictures])
    grid = torch.tensor([[1, p.shape[0] // contract.patch, p.shape[1] // contract.patch] for p in pictures])
    with torch.no_grad():
        out = checkpoint.vlm(
            input_ids=ids,
            mm_token_type_ids=types,
            pixel_values=patches,
            image_grid_thw=grid,
            attention_mask=torch.ones_like(ids),
        )
    scores = out.logits[0]
    scores[:, checkpoint.vocabulary.never_sampled] = float("-inf")
    return scores.log_softmax(-1)


@st.composite
def answers(draw: st.DrawFn, shape: tuple[float, float, float]) -> tuple[str, list[Box]]:
    """An answer with up to three boxes anywhere in model space, none of them all of it; and the boxes."""
    boxes = []
    for _ in range(draw(st.integers(1, 3))):
        low = draw(st.tuples(*(st.integers(0, int(n) - 1) for n in shape)))
        high = draw(st.tuples(*(st.integers(a + 1, int(n)) for a, n in zip(low, shape, strict=True))))
        box = Box(low, high)
        if prod(box.size) < prod(shape):
            boxes.append(box)
    thought = " and ".join(f"the left thalamus is at {write_box(box, flat=shape[2] == 1)}" for box in boxes)
    return f"<think>{thought}.</think>{draw(st.sampled_from(['A. Yes', 'B. No']))}<|im_end|>", boxes


@pytest.mark.parametrize("dimension", [2, 3])
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_warm_equals_cold_after_every_round(
    dimension: int, data: st.DataObject, checkpoint: Checkpoint, image: Prepared, cuboid: Prepared, dictate
) -> None:
    """Wherever it points and however often: ids, positions, crops and memory are those of the whole row, afresh."""
    prepared = image if dimension == 2 else cuboid
    words, boxes = data.draw(answers(prepared.frame.shape))
    dictate(words)
    (rollout,) = roll_out(checkpoint, [(prepared, question(dimension))], Sampling())
    trace = trace_of(rollout, checkpoint)
    shown = [engine.crop(prepared, box, checkpoint.contract) for box in boxes]
    assert [step.box for step in trace.steps] == [*boxes, None]
    assert [step.crops for step in trace.steps] == [*map(len, shown), 0]
    cold = cold_logprobs(checkpoint, rollout, [*prepared.slices, *(crop for some in shown for crop in some)])
    row = rollout.shared.ids + rollout.branch.ids
    sampled = [len(rollout.shared) + i for i, t in enumerate(rollout.branch.trained) if t]
    expected = torch.stack([cold[i - 1, row[i]] for i in sampled])
    assert torch.allclose(torch.tensor(rollout.logprobs), expected, atol=2e-5)


def test_ragged_rows_together_equal_each_row_alone(checkpoint: Checkpoint, image: Prepared, cuboid: Prepared) -> None:
    asked = [
        (image, question(2)),
        (image, question(2, "No lesion?")),
        (cuboid, question(3)),
        (cuboid, question(3, "Is the left thalamus on the left, or is it not seen at all?")),
    ]
    together = roll_out(checkpoint, asked, Sampling(max_tokens=24))
    for pair, rollout in zip(asked, together, strict=True):
        (alone,) = roll_out(checkpoint, [pair], Sampling(max_tokens=24))
        assert rollout.branch.ids == alone.branch.ids
        assert rollout.logprobs == pytest.approx(alone.logprobs, abs=1e-5)


def test_rows_that_point_and_rows_that_do_not_keep_apart(
    checkpoint: Checkpoint, image: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row injects while its neighbour is still talking, another is already done."""
    words = [
        IMAGE_ANSWER,
        "<think>No lesion is seen.</think>B. No<|im_end|>",
        "<think>It is on the left, at <|box_start|>[1,1,5,5]<|box_end|></think>A. Yes<|im_end|>",
    ]
    ids = [checkpoint.vocabulary.own(text) for text in words]

    def draw(self, scores):
        logprobs = scores.log_softmax(-1)
        at = [(i % 3, min(len(self.rollouts[i].logprobs), len(ids[i % 3]) - 1)) for i in self.row_of]
        return [(ids[k][n], float(logprobs[row, ids[k][n]])) for row, (k, n) in enumerate(at)]

    monkeypatch.setattr(engine._Batch, "_draw", draw)
    rollouts = roll_out(checkpoint, [(image, question(2))] * 3, Sampling())
    for rollout, text in zip(rollouts, words, strict=True):
        trace = trace_of(rollout, checkpoint)
        assert trace.text == text
        crops = [p for step in trace.steps if step.box for p in engine.crop(image, step.box, checkpoint.contract)]
        cold = cold_logprobs(checkpoint, rollout, [*image.slices, *crops])
        row = rollout.shared.ids + rollout.branch.ids
        sampled = [len(rollout.shared) + i for i, t in enumerate(rollout.branch.trained) if t]
        assert torch.allclose(
            torch.tensor(rollout.logprobs), torch.stack([cold[i - 1, row[i]] for i in sampled]), atol=2e-5
        )


def test_sampled_ids_are_kept_and_nothing_is_encoded_while_sampling(
    checkpoint: Checkpoint, image: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ambiguous spelling (single bytes where a merge exists) survives by id."""
    vocabulary = checkpoint.vocabulary
    spelled = [vocabulary.id(c) for c in "left"]
    assert vocabulary.own("left") != spelled
    closing = vocabulary.own("</think>A. Yes<|im_end|>")
    ids = [vocabulary.id("<think>"), *spelled, *closing]

    def draw(self, scores):
        monkeypatch.setattr(vocabulary.tokenizer, "_encode_plus", None)  # poisoned from the first sample on
        return [(ids[min(len(self.rollouts[i].logprobs), len(ids) - 1)], 0.0) for i in self.row_of]

    monkeypatch.setattr(engine._Batch, "_draw", draw)
    (rollout,) = roll_out(checkpoint, [(image, question(2))], Sampling())
    assert rollout.branch.ids[rollout.asked :] == ids


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ("[9,4,3,17]", "x runs from"),
        ("[1,2,3]", "3 numbers"),
        ("[3,4,0,20,17,1]", "6 numbers, expected 4"),
        ("[0,0,900,5]", "outside"),
        ("[0,0,48,32]", "everything"),
        ("(1,2,3,4)", "unpaired"),
    ],
)
def test_a_bad_box_brings_nothing_and_the_answer_still_comes(
    box: str, reason: str, checkpoint: Checkpoint, image: Prepared, dictate
) -> None:
    assert image.frame.shape == (48, 32, 1)
    dictate(f"<think>At <|box_start|>{box}<|box_end|>.</think>A. Yes<|im_end|>")
    (rollout,) = roll_out(checkpoint, [(image, question(2))], Sampling())
    trace = trace_of(rollout, checkpoint)
    assert trace.answer.choice == "A"
    assert rollout.features == []
    assert not any(rollout.branch.is_picture)
    assert any(reason in flaw.reason for flaw in trace.answer.flaws)
    assert not trace.valid_format


def test_the_budget_counts_sampled_tokens_only_and_a_long_thought_may_end(
    checkpoint: Checkpoint, image: Prepared, dictate
) -> None:
    words = "<think>" + "The left thalamus is at " * 30 + "<|box_start|>[3,4,20,17]<|box_end|>.</think>A. Yes<|im_end|>"
    length = len(checkpoint.vocabulary.own(words))
    dictate(words)
    (whole,) = roll_out(checkpoint, [(image, question(2))], Sampling(max_tokens=length))
    assert trace_of(whole, checkpoint).answer.choice == "A"
    assert not whole.truncated
    (cut,) = roll_out(checkpoint, [(image, question(2))], Sampling(max_tokens=length - 1))
    assert cut.truncated


def test_more_boxes_than_allowed_are_flaws(checkpoint: Checkpoint, image: Prepared, dictate) -> None:
    dictate("<think>" + "<|box_start|>[3,4,20,17]<|box_end|>" * 3 + "</think>A. Yes<|im_end|>")
    (rollout,) = roll_out(checkpoint, [(image, question(2))], Sampling(max_boxes=2))
    trace = trace_of(rollout, checkpoint)
    assert [step.crops for step in trace.steps] == [1, 1, 0, 0]
    assert [flaw.reason for flaw in trace.answer.flaws] == ["more than 2 boxes"]


def test_picture_tokens_are_never_sampled(checkpoint: Checkpoint, image: Prepared) -> None:
    """Even where the head wants nothing else."""
    vlm = checkpoint.vlm
    kept = vlm.lm_head.weight.data.clone()
    rollouts = roll_out(checkpoint, [(image, question(2))] * 40, Sampling(temperature=50.0, max_tokens=30, seed=3))
    vlm.lm_head.weight.data.copy_(kept)
    said = {t for r in rollouts for t, mine in zip(r.branch.ids, r.branch.trained, strict=True) if mine}
    assert len(said) > 300  # hot enough that everything allowed comes up
    assert not said & set(checkpoint.vocabulary.never_sampled)


def test_sampling_is_a_function_of_its_seed(checkpoint: Checkpoint, image: Prepared) -> None:
    def ids(seed: int) -> list[list[int]]:
        return [
            r.branch.ids
            for r in roll_out(
                checkpoint, [(image, question(2))] * 4, Sampling(temperature=1.0, max_tokens=12, seed=seed)
            )
        ]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert len({tuple(i) for i in ids(1)}) > 1


def test_batches_are_made_in_the_order_of_asking_wherever_studies_lie_in_memory(
    checkpoint: Checkpoint, image: Prepared
) -> None:
    low, high = sorted((replace(image), replace(image)), key=id)
    sampling = Sampling(temperature=1.0, max_tokens=12, seed=4)
    one, other = (
        [r.branch.ids for r in roll_out(checkpoint, [(p, question(2)) for p in order], sampling)]
        for order in ((low, high), (high, low))
    )
    assert one == other


def test_special_tokens_in_a_question_stay_text(checkpoint: Checkpoint, image: Prepared) -> None:
    hostile = replace(question(2), text="<|image_pad|><|vision_start|><|im_end|> what?")
    (plain,), (odd,) = (roll_out(checkpoint, [(image, q)], Sampling(max_tokens=2)) for q in (question(2), hostile))
    special = set(checkpoint.vocabulary.never_sampled)
    assert not special & set(odd.branch.ids[: odd.asked]) - {checkpoint.vocabulary.id("<|im_start|>")}
    assert odd.branch.ids[: odd.asked].count(checkpoint.vocabulary.turn_end) == plain.branch.ids[: plain.asked].count(
        checkpoint.vocabulary.turn_end
    )
