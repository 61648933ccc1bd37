"""Room of fixed shape against memory that grows, and the step as a compiler and a graph need it."""

import pytest
import torch

from model.imaging.prepare import Prepared, prepare
from model.vlm import fixed
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask, Engine, _Rows
from model.vlm.fixed import Fixed, decode
from model.vlm.rollout import Rollout
from model.vlm.sampling import Choose, Sampling, dictated, draw
from model.vlm.sharing import Shared
from tests.model.vlm.conftest import volume
from tests.model.vlm.test_engine import question
from tests.model.vlm.test_hub import FAMILIES, contract_of, tiny_weights

ANSWERS = (
    "<think><|box_start|>[3,4,0,20,17,4]<|box_end|> or <|box_start|>[0,0,1,9,30,3]<|box_end|>.</think>A. Yes<|im_end|>",
    "<think>No.</think>B. No<|im_end|>",
    "<think>It is at <|box_start|>[1,1,0,8,8,2]<|box_end|> and nowhere else at all.</think>A. Yes<|im_end|>",
    "<think>At <|box_start|>[9]<|box_end|>.</think>A. Yes<|im_end|>",
)


def heard_by(choose: Choose, into: list[torch.Tensor]) -> Choose:
    """Also keep the scores of the rows that are asked for a token."""

    def listening(scores: torch.Tensor, rollouts):
        into.append(scores.clone())
        return choose(scores, rollouts)

    return listening


def talk(checkpoint: Checkpoint, studies: list[Prepared], choose: Choose, *, fixed: bool) -> tuple[list, list]:
    """Ragged rows about two studies, then a follow-up on each: rollouts, and every score that was drawn from."""
    engine, scores = Engine(checkpoint, fixed=fixed), list[torch.Tensor]()
    opened = engine.read(studies)
    texts = ("Is it seen?", "Which box holds the left hippocampus?")
    asks = [Ask(opened[i % 2], question(3, texts[i // 2]), i) for i in range(len(ANSWERS))]
    sampling = Sampling(max_tokens=99)
    first = engine.ask(asks, sampling, keep=True, choose=heard_by(choose, scores))
    more = [Ask(a.study, question(3, "And now?"), after=r) for a, r in zip(asks, first, strict=True)]
    second = engine.ask(more, sampling, choose=heard_by(choose, scores))
    return [*first, *second], scores


def said(rollouts: list[Rollout]) -> list[list[int]]:
    return [r.branch.ids for r in rollouts]


@pytest.fixture(scope="module", params=["tiny", *FAMILIES])
def model(request, checkpoint: Checkpoint) -> Checkpoint:
    if request.param == "tiny":
        return checkpoint
    return Checkpoint(
        tiny_weights(request.param, checkpoint).eval(), checkpoint.tokenizer, contract_of(request.param), ""
    )


@pytest.mark.parametrize("window", [16, 256])
def test_fixed_equals_growing(model: Checkpoint, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of unlike length, crops, flaws, rows let go, follow-ups; windows that fill up on the way."""
    monkeypatch.setattr(fixed, "WINDOW", window)
    studies = [prepare(volume((36, 36, 12), seed), model.contract) for seed in (2, 3)]
    tell = dictated([model.vocabulary.own(text) for text in ANSWERS])
    ours, heard = talk(model, studies, tell, fixed=True)
    theirs, wanted = talk(model, studies, tell, fixed=False)
    assert said(ours) == said(theirs)
    assert [r.rounds for r in ours] == [r.rounds for r in theirs]
    assert len(heard) == len(wanted) > 40
    for ours_, theirs_ in zip(heard, wanted, strict=True):
        assert torch.allclose(ours_, theirs_, atol=1e-5, rtol=1e-5)


def test_what_is_sampled_is_the_same(checkpoint: Checkpoint, cuboid: Prepared, image: Prepared) -> None:
    hot = Sampling(temperature=1.0, seed=5, max_tokens=40)
    found = []
    for way in (True, False):
        engine = Engine(checkpoint, fixed=way)
        asks = [Ask(engine.open(cuboid), question(3), i) for i in range(3)]
        asks += [Ask(engine.open(image), question(2), i) for i in range(2)]
        found.append(engine.ask(asks, hot, choose=lambda s, r: draw(s, r, hot)))
    assert said(found[0]) == said(found[1])
    for a, b in zip(*found, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-5)


def test_room_stays_where_it_is_until_more_is_needed(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """Addresses are what a graph holds: only room that turns out too small moves, and what was kept comes along."""
    layers = Engine(checkpoint).open(cuboid).layers
    memory = Fixed([layers], [0, 0], [[], []], 40)
    where = [part.data_ptr() for kept in memory.own.kept if kept for part in kept]
    real = torch.ones(2, 100, dtype=torch.bool)
    for _ in range(2):
        mask = memory.look(real)
        assert mask.shape == (2, 100, memory.columns + fixed.WINDOW)
        fresh = torch.full((2, *layers[0][0].shape[:1], 100, layers[0][0].shape[2]), 7.0)
        memory.update(fresh, fresh, 0)
        memory.used += 100
    assert [part.data_ptr() for kept in memory.own.kept if kept for part in kept] == where
    memory.look(real[:, :1])
    assert memory.own.at is memory.own.column and int(memory.own.at) == 200
    memory.look(real)
    assert memory.own.window == 2 * fixed.WINDOW
    kept = memory.own.kept[0]
    assert kept is not None
    assert bool((kept[0][:, :, :200] == 7).all()) and bool((kept[0][:, :, 200:] == 0).all())


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_step_compiles_whole(model: Checkpoint, backend: str) -> None:
    """One graph without a break, compiled once for all tokens of a shape: it depends on what is in no tensor."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    studies = [prepare(volume((36, 36, 12), 2), model.contract)]
    engine = Engine(model, fixed=True)
    asks = [Ask(engine.read(studies)[0], question(3), i) for i in range(2)]
    rows = _Rows(engine, asks, Sampling(), keep=False, choose=None, cancelled=lambda: False)
    compiled = torch.compile(decode, fullgraph=True, dynamic=False, backend=backend)
    with torch.no_grad():
        rows._ask()
        memory = rows.memory
        assert isinstance(memory, Fixed)
        found = []
        for token in (5, 6, 7):
            given = torch.full((2, 1), token), torch.full((2, 1, 3), rows.rollouts[0].branch.end + token)
            mask = memory.look(torch.ones(2, 1, dtype=torch.bool))
            wanted = decode(model.vlm, engine.banned, memory, *given, mask)
            found.append(compiled(model.vlm, engine.banned, memory, *given, mask))
            assert torch.allclose(found[-1], wanted, atol=1e-5)
            memory.used += 1
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_the_engine_grows_on_a_cpu_unless_told_otherwise(checkpoint: Checkpoint, image: Prepared) -> None:
    for told, kind in ((None, Shared), (True, Fixed)):
        engine = Engine(checkpoint, fixed=told)
        asks = [Ask(engine.open(image), question(2))]
        rows = _Rows(engine, asks, Sampling(), keep=False, choose=None, cancelled=lambda: False)
        assert type(rows.memory) is kind
