"""One update on real rollouts of a small model: what moves, what doesn't, and how a step may be divided."""

import math
import socket
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed

from components.training import sharding
from components.training.groups import Group
from components.training.policy import Update
from components.training.rl_config import RlConfig
from components.training.sharding import gathered, whole
from components.training.strategies import arithmetic, passing, tuned
from model.learning.losses import target_logprobs
from model.learning.objectives import Objective
from model.learning.packing import pack
from model.learning.reference import Reference
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from tests.components.training import answers
from tests.components.training.answers import equal, groups, rewarded, step, weights

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
EARNED = [1.0, 0.0, 0.0, -0.2]
OWN: dict[Objective, tuple[float, float]] = {"gspo": (3e-4, 4e-4), "cispo": (1.0, 4.0)}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RlConfig:
    return answers.config(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def checkpoint(small: RlConfig) -> Checkpoint:
    return folders.load(small.sft)


def earning(checkpoint: Checkpoint, config: RlConfig) -> list[Group]:
    return [rewarded(group, EARNED) for group in groups(checkpoint, config)]


def told(config: RlConfig, **settings) -> RlConfig:
    return config.model_copy(update=settings)


def test_the_first_update_is_on_policy(checkpoint: Checkpoint, small: RlConfig) -> None:
    """Training sees the very tokens, pictures and positions that sampling saw."""
    some = earning(checkpoint, small)
    assert {group.dimension for group in some} == {2, 3}
    figures = step(checkpoint, some, small)
    assert figures["off_policy"] < 2e-5
    assert figures["ratio"] == pytest.approx(1, abs=1e-5)
    assert figures["kl"] < 1e-8
    assert figures["tokens"] > 0


def test_a_second_update_of_the_same_answers_is_off_policy_by_what_the_first_did(
    checkpoint: Checkpoint, small: RlConfig
) -> None:
    some = earning(checkpoint, small)
    figures = step(checkpoint, some, told(small, updates=2))
    twice = weights(checkpoint)
    assert figures["off_policy"] < 2e-5  # still of the first
    assert figures["kl"] > 1e-5
    fresh = folders.load(small.sft)
    for _ in range(2):
        step(fresh, some, small)
    assert equal(weights(fresh), twice, 1e-6)


def test_sampled_boxes_bring_crops_in_images_and_volumes_and_are_trained(
    checkpoint: Checkpoint, small: RlConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cuboid is answered with its slices; its group has advantages, and the loss reaches the tokens of its numbers.

    The box is put into the model's mouth; what follows, its crops included, is trained on as it was seen.
    """
    from model.vlm import engine

    monkeypatch.setattr(engine, "draw", answers.boxed(checkpoint, engine.draw))
    some = earning(checkpoint, told(small, max_tokens=40))
    shown = {group.dimension: group.rollouts[0].features for group in some}
    assert len(shown[2]) == 1
    assert len(shown[3]) == 2
    [volume] = [group for group in some if group.dimension == 3]
    assert not volume.flat
    row = volume.row()
    new = target_logprobs(checkpoint.vlm, pack([row]), checkpoint.vocabulary)
    (moved,) = torch.autograd.grad((new * pack([row]).weights).sum(), new)
    ids = checkpoint.vocabulary.own(answers.BOXED[3])
    first, opens = list(moved[: len(volume.rollouts[0].logprobs)]), ids.index(checkpoint.vocabulary.box_open)
    assert row.branches[0].ids[volume.rollouts[0].asked :][: len(ids)] == ids
    assert all(first[opens : len(ids)])
    assert step(checkpoint, some, small)["off_policy"] < 2e-5


@pytest.mark.parametrize("objective", ["dr_grpo", "grpo", "dapo", "gspo", "cispo"])
def test_flat_groups_move_nothing_and_do_not_dilute(
    checkpoint: Checkpoint, small: RlConfig, objective: Objective
) -> None:
    config = told(small, objective=objective, kl="k3", kl_beta=0.1)
    reference = Reference(checkpoint.vlm)
    some = groups(checkpoint, config)
    before = weights(checkpoint)
    flat = [rewarded(group, [0.35] * 4) for group in some]
    figures = step(checkpoint, flat, config, reference=reference)
    assert (figures["flat"], figures["tokens"]) == (1.0, 0.0)
    assert equal(weights(checkpoint), before)
    useful = rewarded(some[0], [1.0, 0.0, 0.0, 0.0])
    step(checkpoint, [useful], config, reference=reference)
    alone = weights(checkpoint)
    assert not equal(alone, before)
    fresh = folders.load(small.sft)
    step(fresh, [useful, *flat[1:]], config, reference=reference)
    assert equal(weights(fresh), alone)


@pytest.mark.parametrize("kind", ["none", "flat", "truncated"])
@pytest.mark.parametrize("kl", ["none", "k3"])
def test_a_step_without_anything_to_learn_from_moves_nothing_and_tells_figures(
    checkpoint: Checkpoint, small: RlConfig, kind: str, kl: str
) -> None:
    """No group at all, none that isn't flat, or nothing but truncated answers; the optimiser's moments stay too."""
    trained = [p for name, p in checkpoint.vlm.named_parameters() if "visual" not in name]
    reference = Reference(checkpoint.vlm) if kl != "none" else None
    optimiser = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    config = told(small, kl=kl, kl_beta=10.0)
    Update(checkpoint, earning(checkpoint, small), config, reference).run(trained, optimiser)
    before = [weights(checkpoint), [state["exp_avg"].clone() for state in optimiser.state.values()]]
    made = [] if kind == "none" else groups(checkpoint, small)
    some = [rewarded(g, EARNED if kind == "truncated" else [0.5] * 4, whole=kind == "flat") for g in made]
    figures = Update(checkpoint, some, config, reference).run(trained, optimiser)
    assert equal(weights(checkpoint), before[0])
    assert equal([state["exp_avg"] for state in optimiser.state.values()], before[1])
    assert all(math.isfinite(value) for value in figures.values())
    assert (figures["groups"], figures["flat"]) == (len(some), float(kind == "flat"))


@pytest.mark.parametrize("objective", ["gspo", "cispo"])
def test_an_objective_clips_where_its_own_range_ends(
    checkpoint: Checkpoint, small: RlConfig, objective: Objective
) -> None:
    """On answers half as likely to their sampler: GSPO's narrow range holds them back, CISPO's wide one doesn't."""
    some = earning(checkpoint, small)
    for rollout in (rollout for group in some for rollout in group.rollouts):
        rollout.logprobs = [logprob - 0.7 for logprob in rollout.logprobs]
    own = loss(checkpoint, some, told(small, objective=objective))
    usual = loss(checkpoint, some, told(small, objective=objective, clip=(0.2, 0.28)))
    named = loss(checkpoint, some, told(small, objective=objective, clip=OWN[objective]))
    assert own == named != usual


@pytest.mark.parametrize("objective", ["dr_grpo", "grpo", "dapo", "gspo", "cispo"])
def test_what_is_rewarded_becomes_likelier(checkpoint: Checkpoint, small: RlConfig, objective: Objective) -> None:
    (group, *_) = groups(checkpoint, small)
    group = rewarded(group, [1.0, 0.0, 0.0, 0.0])

    def likelihood() -> float:
        row = group.row()
        found = target_logprobs(checkpoint.vlm, pack([row]), checkpoint.vocabulary).detach()
        return float(found[: sum(row.branches[0].trained)].sum())

    before = likelihood()
    step(checkpoint, [group], told(small, objective=objective))
    assert likelihood() > before


def test_a_truncated_answer_teaches_nothing_and_does_not_dilute(checkpoint: Checkpoint, small: RlConfig) -> None:
    (group, *_) = groups(checkpoint, small)
    assert all(rollout.truncated for rollout in group.rollouts)
    before = weights(checkpoint)
    for objective in ("dr_grpo", "grpo", "dapo", "gspo", "cispo"):
        figures = step(checkpoint, [rewarded(group, EARNED, whole=False)], told(small, objective=objective))
        assert figures["tokens"] == 0
        assert all(torch.isfinite(torch.tensor(list(figures.values()))))
        assert equal(weights(checkpoint), before)


def loss(checkpoint: Checkpoint, some: list[Group], config: RlConfig, reference: Reference | None = None) -> float:
    update = Update(checkpoint, some, config, reference)
    return sum(update._loss([row], first=True).item() for row in update.rows)


def test_truncated_answers_beside_whole_ones_do_not_dilute(checkpoint: Checkpoint, small: RlConfig) -> None:
    """Nor do they draw towards the reference."""
    one, other, *_ = groups(checkpoint, small)
    reference = Reference(checkpoint.vlm)
    step(checkpoint, [rewarded(one, EARNED)], small, lr=1.0)
    for objective in ("dr_grpo", "grpo", "dapo", "gspo", "cispo"):
        config = told(small, objective=objective, kl="k3", kl_beta=1.0)
        alone = loss(checkpoint, [rewarded(one, EARNED)], config, reference)
        some = [rewarded(one, EARNED), rewarded(other, EARNED, whole=False)]
        assert alone == loss(checkpoint, some, config, reference) != 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"objective": "dr_grpo"}, lambda whole: sum(n * a for n, a in whole) / sum(n for n, _ in whole)),
        (
            {"objective": "dr_grpo", "denominator": "constant", "max_tokens": 20},
            lambda whole: sum(n * a for n, a in whole) / (len(whole) * 20),
        ),
        ({"objective": "grpo"}, lambda whole: sum(2 * a for _, a in whole) / len(whole)),
        ({"objective": "dapo"}, lambda whole: sum(2 * n * a for n, a in whole) / sum(n for n, _ in whole)),
    ],
)
def test_the_config_chooses_shares_and_advantages(
    checkpoint: Checkpoint, small: RlConfig, settings: dict, expected: Callable[[list[tuple[int, float]]], float]
) -> None:
    """Two right, two wrong, one of them truncated: advantages of a half, which divided by their spread are 1."""
    (group, *_) = groups(checkpoint, small)
    group = rewarded(group, [1.0, 1.0, 0.0, 0.0])
    group.rollouts[3].truncated = True
    whole = [(len(r.logprobs), a) for r, a in zip(group.rollouts[:3], (0.5, 0.5, -0.5), strict=True)]
    assert len({length for length, _ in whole}) == 3
    assert loss(checkpoint, [group], told(small, **settings)) == pytest.approx(-expected(whole), rel=1e-4)


def test_one_batch_is_as_many_micro_batches_as_fit(checkpoint: Checkpoint, small: RlConfig) -> None:
    some = earning(checkpoint, small)
    for objective in ("dr_grpo", "grpo", "gspo"):
        moved = []
        for tokens in (100_000, 1):
            fresh = folders.load(small.sft)
            step(fresh, some, told(small, objective=objective, micro_tokens=tokens), lr=1.0)
            moved.append(weights(fresh))
        assert equal(*moved, within=1e-6)


def test_the_reference_is_the_policy_as_it_began_and_holds_it_back(checkpoint: Checkpoint, small: RlConfig) -> None:
    some, reference = earning(checkpoint, small), Reference(checkpoint.vlm)
    free, held = told(small, kl="none"), told(small, kl="k3", kl_beta=10.0)
    assert step(checkpoint, some, held, reference=reference)["kl_reference"] == pytest.approx(0, abs=1e-6)
    began = weights(folders.load(small.sft))
    distance = {}
    for name, config in (("free", free), ("held", held)):
        fresh = folders.load(small.sft)
        for _ in range(4):
            figures = step(fresh, some, config, reference=reference if name == "held" else None)
        distance[name] = sum(float((p - q).square().sum()) for p, q in zip(weights(fresh), began, strict=True))
    assert figures["kl_reference"] > 0
    assert distance["held"] < distance["free"]


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_the_reference_is_heard_in_the_policys_arithmetic(small: RlConfig, tune: str) -> None:
    """In bfloat16 too the two are one as training begins, to the bit: rounding would count as distance."""
    config = told(small, tune=tune, dtype="bf16", kl="k3", kl_beta=0.1)
    checkpoint = folders.load(config.sft)  # frozen weights in float32, as under FSDP2
    copied = Reference(checkpoint.vlm) if tune == "full" else None
    trained = list(tuned(checkpoint, config).values())
    reference = copied or Reference(checkpoint.vlm)
    with arithmetic(config, torch.device("cpu")):
        some = earning(checkpoint, config)
    update = Update(checkpoint, some, config, reference)
    packed = pack(update.rows)
    with passing(checkpoint.vlm, config):
        policy = target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary)
    assert policy.requires_grad
    heard = update._reference(packed)
    assert heard is not None
    assert torch.equal(heard, policy)
    figures = update.run(trained, torch.optim.SGD(trained, lr=0.1))
    assert figures["tokens"] > 0
    assert figures["kl_reference"] == 0.0


@pytest.mark.parametrize(
    "settings",
    [{"objective": "dr_grpo"}, {"objective": "dr_grpo", "denominator": "constant"}, {"objective": "dapo"}],
)
def test_a_kl_is_a_mean_over_the_tokens_it_is_summed_on(
    checkpoint: Checkpoint, small: RlConfig, settings: dict
) -> None:
    """Two of eight answers move; all are held to the reference, and together weigh what they would if all moved."""
    config = told(small, group=8, kl="k3", kl_beta=100.0, **settings)
    (group, *_), reference = groups(checkpoint, config), Reference(checkpoint.vlm)
    group = rewarded(group, [0.0, *[0.5] * 6, 1.0])
    step(checkpoint, [group], small)
    mean = step(checkpoint, [group], config, lr=0, reference=reference)["kl_reference"]
    added = loss(checkpoint, [group], config, reference) - loss(checkpoint, [group], config)
    assert mean > 0
    assert added == pytest.approx(100 * mean, rel=1e-3)


def test_the_figures_that_a_best_may_be_of_are_those_there_are(checkpoint: Checkpoint, small: RlConfig) -> None:
    some, reference = earning(checkpoint, small), Reference(checkpoint.vlm)
    for settings in ({}, {"kl": "k3"}, {"rollout": "pool"}, {"kl": "k3", "rollout": "pool"}):
        config = told(small, **settings)
        figures = step(checkpoint, some, config, lr=0, reference=reference if "kl" in settings else None)
        assert set(config.figures) == set(figures)


def test_answers_of_another_engine_are_weighted_and_the_figures_say_by_how_much(
    checkpoint: Checkpoint, small: RlConfig
) -> None:
    """The engine claims to have found every other answer half as likely a token as the trainer does."""
    some = earning(checkpoint, small)
    pool = told(small, rollout="pool")
    assert step(checkpoint, some, pool, lr=0)["ess"] == pytest.approx(1)
    for group in some:
        for rollout in group.rollouts[::2]:
            rollout.logprobs = [logprob - 0.7 for logprob in rollout.logprobs]
    figures = step(checkpoint, some, pool, lr=0)
    assert figures["ratio"] == pytest.approx((1 + 2.01) / 2, abs=0.05)
    assert 0.85 < figures["ess"] < 0.95
    assert figures["kl"] > 0.1
    assert step(checkpoint, some, told(pool, tis_cap=1.0), lr=0)["ess"] == pytest.approx(1)
    capped, weighted = loss(checkpoint, some, told(pool, tis_cap=1.0)), loss(checkpoint, some, pool)
    assert abs(capped - weighted) > 0.01


def test_a_gradient_that_is_not_finite_is_never_applied(checkpoint: Checkpoint, small: RlConfig) -> None:
    some, before = earning(checkpoint, small), weights(checkpoint)
    some[0].rollouts[0].logprobs[0] = float("-inf")
    with pytest.raises(FloatingPointError, match="last checkpoint is kept"):
        step(checkpoint, some, small)
    assert equal(weights(checkpoint), before)


DIVIDED = {
    "uneven": ([0, 2], [1], []),
    "one has none": ([0, 1, 2], [], []),
    "all of one are truncated": ([0, 1], [2], [2]),
}
"""Groups of the first worker, of the second, and those whose answers are truncated."""


def moved(config: RlConfig, mine: Sequence[int], cut: Sequence[int]) -> tuple[dict[str, float], list[torch.Tensor]]:
    """Figures and weights behind a step on these groups."""
    checkpoint = folders.load(config.sft)
    trained = tuned(checkpoint, config)
    with gathered(checkpoint.vlm):
        some = groups(checkpoint, config)
    optimiser = torch.optim.SGD(sharding.groups(list(trained.values())), lr=1.0)
    chosen = [rewarded(some[i], EARNED, whole=i not in cut) for i in mine]
    figures = Update(checkpoint, chosen, config).run(list(trained.values()), optimiser)
    return figures, [whole(p.detach()).clone() for p in trained.values()]


def share(rank: int, port: int, config: RlConfig, out) -> None:
    """A worker's part of each case."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for parallel in ("ddp", "fsdp2"):
        for name, (*parts, cut) in DIVIDED.items():
            figures, found = moved(told(config, parallel=parallel), parts[rank], cut)
            out.put((name, figures, [p.tolist() for p in found]))
    distributed.destroy_process_group()


def test_two_workers_move_as_one_with_everything(small: RlConfig) -> None:
    """Two real gloo processes, whole or with their layers spread; micro-batches of a row each. GRPO: its denominators
    are answers and lengths, of all workers."""
    config = told(small, objective="grpo", micro_tokens=1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    out = context.SimpleQueue()
    workers = [context.Process(target=share, args=(rank, port, config, out)) for rank in range(2)]
    for process in workers:
        process.start()
    found = [out.get() for _ in range(4 * len(DIVIDED))]
    for process in workers:
        process.join(60)
        assert process.exitcode == 0
    for name, (first, second, cut) in DIVIDED.items():
        expected, alone = moved(config, [*first, *second], cut)
        assert expected["tokens"] > 0
        for figures, mine in [(figures, mine) for which, figures, mine in found if which == name]:
            assert equal([torch.tensor(p) for p in mine], alone, 1e-6), name
            assert figures["off_policy"] < 2e-5, name
            for figure in ("reward", "tokens", "flat", "entropy", "length", "ratio"):
                assert figures[figure] == pytest.approx(expected[figure], rel=1e-5), (name, figure)


def test_the_default_moves_as_it_always_has(checkpoint: Checkpoint, small: RlConfig) -> None:
    """The token mean over what moves, undivided advantages, clip .2 and .28: the loss written out."""
    some = earning(checkpoint, small)
    step(checkpoint, some, small)
    fresh = folders.load(small.sft)
    trained = [p for name, p in fresh.vlm.named_parameters() if "visual" not in name]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    tokens = sum(len(r.logprobs) for group in some for r in group.rollouts)
    for group in sorted(some, key=lambda group: len(group.row()), reverse=True):
        packed = pack([group.row()])
        old = torch.tensor([logprob for r in group.rollouts for logprob in r.logprobs])
        ratio = (target_logprobs(fresh.vlm, packed, fresh.vocabulary) - old).exp()
        gain = torch.minimum(ratio * packed.weights, ratio.clamp(0.8, 1.28) * packed.weights)
        (-gain.sum() / tokens).backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimiser.step()
    assert equal(weights(fresh), weights(checkpoint), 1e-6)
