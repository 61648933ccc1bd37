"""The engine against a cold, whole-row forward of transformers' own code."""

from dataclasses import replace
from math import prod

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.imaging.prepare import Prepared
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.grammar import write_box
from model.interface.question import Question
from model.vlm import engine
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask, Engine, roll_out, samples
from model.vlm.features import Features
from model.vlm.rollout import Rollout, trace_of
from model.vlm.sampling import Sampling, dictated
from model.vlm.tower import normalised, patchify


def question(dimension: int, text: str = "Which box holds the left hippocampus?") -> Question:
    return Question("q", "s", "p", "test", dimension, "existence verification", text, ("Yes", "No"), 0)


@pytest.fixture
def dictate(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    """Force the same words on every row; the engine's own path (memory, injection) stays as it is."""

    def speak(text: str) -> None:
        ids = checkpoint.vocabulary.own(text)
        monkeypatch.setattr(engine, "draw", lambda scores, rollouts, _: dictated([ids] * 999)(scores, rollouts))

    return speak


IMAGE_ANSWER = (
    "<think>The left thalamus is at <|box_start|>[3,4,20,17]<|box_end|> "
    "It is at <|box_start|>[0,0,9,30]<|box_end|>.</think>A. Yes<|im_end|>"
)


def cold_logprobs(checkpoint: Checkpoint, rollout: Rollout, pictures: list) -> torch.Tensor:
    """Log-probabilities of the whole row, from ids and pixels, by transformers' own forward."""
    ids = torch.tensor([rollout.shared.ids + rollout.branch.ids])
    types = torch.tensor([rollout.shared.is_picture + rollout.branch.is_picture]).int()
    contract = checkpoint.contract
    vision = checkpoint.vlm.config.vision_config
    patches = torch.cat([normalised(patchify(p[None], contract), vision)[0] for p in pictures])
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


def test_rows_that_point_and_rows_that_do_not_keep_apart(checkpoint: Checkpoint, image: Prepared) -> None:
    """One row injects while its neighbour is still talking, another is already done."""
    words = [
        IMAGE_ANSWER,
        "<think>No lesion is seen.</think>B. No<|im_end|>",
        "<think>It is on the left, at <|box_start|>[1,1,5,5]<|box_end|></think>A. Yes<|im_end|>",
    ]
    ids = [checkpoint.vocabulary.own(text) for text in words]

    rollouts = roll_out(checkpoint, [(image, question(2))] * 3, Sampling(), choose=dictated(ids))
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

    def choose(scores, rollouts):
        monkeypatch.setattr(vocabulary.tokenizer, "_encode_plus", None)  # poisoned from the first sample on
        return dictated([ids])(scores, rollouts)

    (rollout,) = roll_out(checkpoint, [(image, question(2))], Sampling(), choose=choose)
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


# Sessions: a study stays open.


def ids_said(rollout: Rollout) -> list[int]:
    return rollout.branch.ids[rollout.asked :]


def test_one_read_answers_every_question_and_sample(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """Held once, with other studies beside it or alone: the answers are those of reading afresh."""
    engine_ = Engine(checkpoint)
    study = engine_.open(cuboid)
    assert engine_.open(cuboid) is study
    asks = [Ask(study, question(3)), Ask(study, question(3, "No lesion?")), *samples(study, question(3, "Where?"), 3)]
    sampling = Sampling(temperature=1.0, max_tokens=16, seed=5)
    for one, rollout in zip(asks, engine_.ask(asks, sampling), strict=True):
        fresh = Engine(checkpoint)
        (alone,) = fresh.ask([Ask(fresh.open(cuboid), one.question, one.sample)], sampling)
        assert rollout.branch.ids == alone.branch.ids
        assert rollout.logprobs == pytest.approx(alone.logprobs, abs=1e-5)


def test_samples_do_not_depend_on_their_group(checkpoint: Checkpoint, image: Prepared, cuboid: Prepared) -> None:
    engine_, sampling = Engine(checkpoint), Sampling(temperature=1.0, max_tokens=12, seed=8)
    study, other = engine_.open(cuboid), engine_.open(image)
    group = samples(study, question(3), 8)
    said = [ids_said(r) for r in engine_.ask(group, sampling)]
    assert len(set(map(tuple, said))) == 8
    shuffled = [5, 2, 7]
    among = [Ask(other, question(2)), *(group[i] for i in shuffled)]
    assert [ids_said(r) for r in engine_.ask(among, sampling)][1:] == [said[i] for i in shuffled]


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_follow_up_equals_asking_afresh(
    dimension: int, checkpoint: Checkpoint, image: Prepared, cuboid: Prepared
) -> None:
    """Three turns, crops in the first two, rows of unlike length: the memory gone on with is that of the whole row."""
    prepared = image if dimension == 2 else cuboid
    box = "[3,4,20,17]" if dimension == 2 else "[3,4,0,20,17,4]"
    words = [f"<think>At <|box_start|>{box}<|box_end|>.</think>A. Yes<|im_end|>", "</think>B. No<|im_end|>"]
    said = [checkpoint.vocabulary.own(text) for text in words]
    engine_ = Engine(checkpoint)
    study = engine_.open(prepared)
    turn = engine_.ask([Ask(study, question(dimension))] * 2, Sampling(), keep=True, choose=dictated(said))
    for text in ("Where is it?", "No lesion is seen?"):
        asks = [Ask(study, question(dimension, text), after=before) for before in turn]
        turn = engine_.ask(asks, Sampling(), keep=True, choose=dictated(said))
    for rollout, boxes in zip(turn, (3, 0), strict=True):
        shown = engine.crop(
            prepared, Box.of((3, 4, 20, 17) if dimension == 2 else (3, 4, 0, 20, 17, 4)), checkpoint.contract
        )
        cold = cold_logprobs(checkpoint, rollout, [*prepared.slices, *shown * boxes])
        row, first = rollout.shared.ids + rollout.branch.ids, len(rollout.shared) + rollout.asked
        assert sum(rollout.branch.trained) == len(rollout.logprobs)  # of this turn alone
        sampled = [first - rollout.asked + i for i, t in enumerate(rollout.branch.trained) if t]
        expected = torch.stack([cold[i - 1, row[i]] for i in sampled])
        assert torch.allclose(torch.tensor(rollout.logprobs), expected, atol=2e-5)


def test_only_what_was_kept_is_followed_up(checkpoint: Checkpoint, image: Prepared) -> None:
    engine_ = Engine(checkpoint)
    study = engine_.open(image)
    (gone,) = engine_.ask([Ask(study, question(2))], Sampling(max_tokens=3))
    with pytest.raises(BadInput, match="can't be followed up"):
        engine_.ask([Ask(study, question(2), after=gone)], Sampling())


def test_events_tell_the_whole_answer_in_order(checkpoint: Checkpoint, image: Prepared) -> None:
    words = [IMAGE_ANSWER, "<think>\u00e9 \u8089 <|box_start|>[9]<|box_end|></think>B. No<|im_end|>"]
    engine_ = Engine(checkpoint)
    asks = [Ask(engine_.open(image), question(2))] * 2
    said = dictated([checkpoint.vocabulary.own(text) for text in words])
    events = list(engine_.stream(asks, Sampling(), choose=said))
    for row, text in enumerate(words):
        mine = [event for event in events if event.answer == row]
        assert "".join(event.text for event in mine if event.kind == "text") == text
        assert not any("\ufffd" in event.text for event in mine)
        assert mine[-1].kind == "answer"
        assert mine[-1].rollout is not None and trace_of(mine[-1].rollout, checkpoint).text == text
    kinds = [e.kind for e in events if e.answer == 0 and e.kind != "text"]
    assert kinds == ["box", "crop", "box", "crop", "answer"]
    assert [e.kind for e in events if e.answer == 1 and e.kind != "text"] == ["flaw", "answer"]


def test_a_cancelled_answer_keeps_what_was_said(checkpoint: Checkpoint, image: Prepared, cuboid: Prepared) -> None:
    engine_ = Engine(checkpoint)
    asks = [Ask(engine_.open(image), question(2)), Ask(engine_.open(cuboid), question(3))]
    (whole, _) = engine_.ask(asks, Sampling(max_tokens=20))
    left = iter([False] * 5)
    cut = engine_.ask(asks, Sampling(max_tokens=20), cancelled=lambda: next(left, True))
    assert [len(r.logprobs) for r in cut] == [5, 5]
    assert all(r.done and r.truncated for r in cut)
    assert ids_said(cut[0]) == ids_said(whole)[:5]
    assert trace_of(cut[0], checkpoint).text == checkpoint.vocabulary.text(ids_said(cut[0]))


@given(garbage=st.lists(st.text(max_size=30), min_size=4, max_size=4))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_in_a_box_never_stops_an_answer(garbage: list[str], checkpoint: Checkpoint, image: Prepared) -> None:
    """200 strings between box tags: each a box or a flaw, and the answer comes."""
    vocabulary, engine_ = checkpoint.vocabulary, Engine(checkpoint)
    opening, closing = vocabulary.own("<think>At <|box_start|>"), vocabulary.own("<|box_end|>.</think>A. Yes<|im_end|>")
    said = [opening + vocabulary.plain(f"[{text}]" if i % 2 else text) + closing for i, text in enumerate(garbage)]
    asks = [Ask(engine_.open(image), question(2))] * 4
    for rollout in engine_.ask(asks, Sampling(), choose=dictated(said)):
        trace = trace_of(rollout, checkpoint)
        assert trace.answer.choice == "A"
        assert not rollout.truncated
        assert bool(trace.answer.flaws) == (not rollout.features)


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_injection_is_whole_at_every_edge_of_every_budget(
    data: st.DataObject, checkpoint: Checkpoint, cuboid: Prepared
) -> None:
    """However few tokens, rounds, crops or slices are allowed: pictures, tokens and steps agree."""
    text = "<think>" + "".join(
        f"<|box_start|>[{i},0,0,{9 + i},9,{depth}]<|box_end|>" for i, depth in enumerate((1, 4, 2))
    )
    ids = checkpoint.vocabulary.own(text + "</think>A. Yes<|im_end|>")
    sampling = Sampling(
        max_tokens=data.draw(st.integers(1, len(ids) + 1)),
        max_boxes=data.draw(st.integers(0, 4)),
        max_crops=data.draw(st.none() | st.integers(0, 6)),
        max_slices=data.draw(st.none() | st.integers(1, 3)),
    )
    engine_ = Engine(checkpoint)
    (rollout,) = engine_.ask([Ask(engine_.open(cuboid), question(3))], sampling, choose=dictated([ids]))
    assert len(rollout.logprobs) == min(len(ids), sampling.max_tokens)
    assert rollout.truncated == (sampling.max_tokens < len(ids))
    shown = [step.crops for step in rollout.steps]
    assert sum(map(len, rollout.features)) == sum(rollout.branch.is_picture)
    assert len(rollout.features) == sum(shown)
    assert max(shown) <= min(sampling.max_slices or 2, 2)
    assert sum(shown) <= (6 if sampling.max_crops is None else sampling.max_crops)
    assert sum(step.box is not None for step in rollout.steps) <= sampling.max_boxes
    assert all((step.box is None) == (step.crops == 0) for step in rollout.steps)
    opens = rollout.branch.ids.count(checkpoint.vocabulary.vision_open)
    assert opens == rollout.branch.ids.count(checkpoint.vocabulary.vision_close) == sum(shown)


def test_stop_words_end_an_answer_and_banned_ids_never_come(checkpoint: Checkpoint, image: Prepared) -> None:
    engine_ = Engine(checkpoint)
    asks = samples(engine_.open(image), question(2), 6)
    said = checkpoint.vocabulary.own("<think>The left thalamus is at</think>A. Yes<|im_end|>")
    (rollout, *_) = engine_.ask(asks, Sampling(stop=("thalamus",)), choose=dictated([said] * 6))
    assert trace_of(rollout, checkpoint).text.endswith("thalamus")
    assert not rollout.truncated
    hot = Sampling(temperature=20.0, max_tokens=40, seed=1)
    often = {token for r in engine_.ask(asks, hot) for token in ids_said(r)}
    banned = tuple(sorted(often)[:50])
    assert not {t for r in engine_.ask(asks, replace(hot, banned=banned)) for t in ids_said(r)} & set(banned)


def test_what_does_not_fit_is_refused_before_anything_is_made(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    with pytest.raises(BadInput, match="fits into memory") as caught:
        Engine(checkpoint, room_mb=0).open(cuboid)
    assert "found 0 MB, wanted up to 1 MB" in caught.value.where
    roomy = Engine(checkpoint, room_mb=4)
    study = roomy.open(cuboid)
    with pytest.raises(BadInput, match="fits into memory"):
        roomy.ask(samples(study, question(3), 64), Sampling(max_tokens=4000))


def test_a_seen_study_is_not_encoded_again(
    checkpoint: Checkpoint, cuboid: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Features()
    first = Engine(checkpoint, features=features).open(cuboid)
    monkeypatch.setattr("model.vlm.features.features_of", lambda *_: [])
    again = Engine(checkpoint, features=features, studies=0).open(cuboid)
    assert again is not first
    assert all(torch.equal(a, b) for a, b in zip(first.pictures, again.pictures, strict=True))


def test_text_equals_generate_of_transformers(checkpoint: Checkpoint, image: Prepared) -> None:
    """Where no box occurs: the same greedy tokens, by code that reads the whole row its own way."""
    vocabulary, contract = checkpoint.vocabulary, checkpoint.contract
    engine_ = Engine(checkpoint)
    sampling = Sampling(max_tokens=20, banned=(vocabulary.box_close,))
    (rollout,) = engine_.ask([Ask(engine_.open(image), question(2))], sampling)
    prompt = torch.tensor([rollout.shared.ids + rollout.branch.ids[: rollout.asked]])
    types = torch.tensor([rollout.shared.is_picture + rollout.branch.is_picture[: rollout.asked]]).int()
    (height, width) = image.slices[0].shape
    with torch.no_grad():
        said = checkpoint.vlm.generate(
            input_ids=prompt,
            mm_token_type_ids=types,
            pixel_values=patchify(image.slices, contract)[0],
            image_grid_thw=torch.tensor([[1, height // contract.patch, width // contract.patch]]),
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=20,
            suppress_tokens=[*vocabulary.never_sampled, vocabulary.box_close],
        )
    assert said[0, prompt.shape[1] :].tolist() == ids_said(rollout)
