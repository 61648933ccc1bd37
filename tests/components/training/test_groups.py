"""A step's groups: whole, asked anew where they are flat, rewarded."""

from collections import Counter
from dataclasses import replace

import pytest

from components.training import groups as module
from components.training.drawing import Answerable
from components.training.examples import Case
from components.training.groups import gather, judged
from components.training.launch import Workers
from components.training.rl_config import RlConfig
from model.vlm import checkpoint as folders
from model.vlm.backend import LocalEngine
from model.vlm.checkpoint import Checkpoint
from tests.components.training import answers
from tests.components.training.answers import rewarded

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RlConfig:
    return answers.config(tmp_path_factory.mktemp("groups"), group=2)


@pytest.fixture(scope="module")
def checkpoint(small: RlConfig) -> Checkpoint:
    return folders.load(small.sft)


@pytest.fixture(scope="module")
def asked(small: RlConfig, checkpoint: Checkpoint) -> Answerable:
    return Answerable(small.data, checkpoint)


def test_a_step_is_shared_out_over_workers_in_whole_groups(
    small: RlConfig, checkpoint: Checkpoint, asked: Answerable
) -> None:
    engine, config = LocalEngine(checkpoint), small.model_copy(update={"images": 3, "volumes": 2})
    per_worker = [gather(engine, checkpoint, asked, config, Workers(rank, 2), 0) for rank in range(2)]
    told = [Counter(group.dimension for group in some) for some in per_worker]
    assert told == [{2: 2, 3: 1}, {2: 1, 3: 1}]
    for group in (group for some in per_worker for group in some):
        assert len({(id(r.prepared), r.question.id) for r in group.rollouts}) == 1
        assert len(group.rollouts) == small.group


def test_flat_groups_are_asked_anew_only_so_often_and_kept_for_the_figures(
    small: RlConfig, checkpoint: Checkpoint, asked: Answerable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second volume and the third image have something to teach."""
    useful = {2: 3, 3: 2}
    seen = Counter[int]()
    judge = module.judged

    def judged(rollouts, checkpoint, config):
        group = judge(rollouts, checkpoint, config)
        seen[group.dimension] += 1
        return rewarded(group, [1.0, 0.0] if seen[group.dimension] >= useful[group.dimension] else [0.0, 0.0])

    monkeypatch.setattr(module, "judged", judged)
    engine, kinds = LocalEngine(checkpoint), []
    for rounds in (0, 1, 2, 9):
        seen.clear()
        config = small.model_copy(update={"resample": rounds})
        kinds.append(
            [(g.dimension, g.flat) for g in gather(engine, checkpoint, asked, config, Workers(), 0)],
        )
    assert kinds[0] == [(2, True), (2, True), (3, True)]
    assert kinds[1] == [*kinds[0], (2, False), (2, False), (3, False)]
    assert kinds[2] == kinds[3] == kinds[1]  # enough: no further round
    monkeypatch.setattr(module, "judged", lambda *told: rewarded(judge(*told), [0.0, 0.0]))
    found = gather(engine, checkpoint, asked, small.model_copy(update={"resample": 3}), Workers(), 0)
    assert len(found) == 4 * (small.images + small.volumes)  # all flat, and still it ends
    said: dict[str, list[tuple[int, ...]]] = {}
    for group in found:
        said.setdefault(group.rollouts[0].question.id, []).append(tuple(group.rollouts[0].branch.ids))
    again = [answers for answers in said.values() if len(answers) > 1]
    assert again
    assert all(len(set(answers)) == len(answers) for answers in again)  # asked anew, not the answer from before


def test_the_first_draw_is_the_same_with_and_without_resampling(
    small: RlConfig, checkpoint: Checkpoint, asked: Answerable
) -> None:
    some, more = (
        gather(LocalEngine(checkpoint), checkpoint, asked, small.model_copy(update=told), Workers(), 0)
        for told in ({}, {"resample": 1})
    )
    for one, other in zip(some, more, strict=False):
        assert [r.branch.ids for r in one.rollouts] == [r.branch.ids for r in other.rollouts]


def test_an_open_answer_is_compared_with_the_reply_as_it_was_to_be_said(
    small: RlConfig, checkpoint: Checkpoint, asked: Answerable
) -> None:
    """{0} of a reply is a place in the source; the model is shown, and says, model space."""
    [(volume, _)] = asked.read(asked.places[3][:1])
    region = volume.questions[0].rationale[0].box
    assert region
    question = replace(volume.questions[0], options=(), answer=None, reply="{0}", regions=(region,))
    told = "".join(f"{n:g}," for n in volume.prepared.frame.to_model(region).numbers)
    [group] = module.sample(
        LocalEngine(checkpoint), checkpoint, [(Case(volume.prepared, [question]), 0)], small, seed=0
    )
    for rollout in group.rollouts:
        rollout.steps, rollout.truncated = [replace(rollout.steps[-1], text=f"[{told[:-1]}]")], False
    assert judged(group.rollouts, checkpoint, small).rewards == [0.8, 0.8]


def test_the_ablation_knows_the_true_boxes(
    small: RlConfig, checkpoint: Checkpoint, asked: Answerable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.vlm import engine

    monkeypatch.setattr(engine, "draw", answers.boxed(checkpoint, engine.draw))
    config = small.model_copy(update={"max_tokens": 40, "volumes": 0})
    paid = {}
    for name in ("ours", "ours+iou"):
        told = config.model_copy(update={"reward": name})
        paid[name] = gather(LocalEngine(checkpoint), checkpoint, asked, told, Workers(), 0)[0]
    step, question = paid["ours"].traces[0].steps[0], paid["ours"].rollouts[0].question
    assert step.box and question.rationale[0].box
    gained = [b - a for a, b in zip(paid["ours"].rewards, paid["ours+iou"].rewards, strict=True)]
    assert all(0 < gain < 0.2 for gain in gained)


def test_figures_are_sums_over_the_groups_answers(small: RlConfig, checkpoint: Checkpoint, asked: Answerable) -> None:
    group = gather(LocalEngine(checkpoint), checkpoint, asked, small, Workers(), 0)[0]
    assert group.sums["length"] == sum(len(r.logprobs) for r in group.rollouts)
    assert group.sums["nats"] == pytest.approx(-sum(sum(r.logprobs) for r in group.rollouts))
    assert group.sums["truncated"] == small.group
