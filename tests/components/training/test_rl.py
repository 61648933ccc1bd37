from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from components.training import progress
from components.training.examples import cases
from components.training.launch import Workers
from components.training.rl import FIGURES, Group, RlConfig, draw, sample, train, update
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from tests.components import world
from tests.components.training.test_sft import FolderSaves, digest

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
BOXED = {2: "<think>At <|box_start|>[4,4,20,20]<|box_end|>", 3: "<think>At <|box_start|>[4,4,0,20,20,2]<|box_end|>"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RlConfig:
    root = tmp_path_factory.mktemp("rl")
    return RlConfig(
        sft=world.checkpoint(root / "sft"),
        data=world.data(root / "data"),
        steps=4,
        images=2,
        volumes=1,
        group=4,
        max_tokens=10,
        save_every=1,
    )


@pytest.fixture
def checkpoint(small: RlConfig) -> Checkpoint:
    return folders.load(small.sft)


def groups(checkpoint: Checkpoint, config: RlConfig) -> list[Group]:
    asked = cases(config.data, "train", checkpoint)
    return sample(checkpoint, draw(asked, config, Workers(), 0), config, seed=1)


def rewarded(group: Group, rewards: list[float], *, whole: bool = True) -> Group:
    """whole: judge answers of an untrained model, which never end, as if they had."""
    for rollout in group.rollouts:
        rollout.truncated = not whole
    return Group(group.rollouts, rewards, dict.fromkeys(FIGURES, 0.0))


def weights(checkpoint: Checkpoint) -> list[torch.Tensor]:
    return [p.detach().clone() for p in checkpoint.vlm.parameters()]


def step(checkpoint: Checkpoint, some: list[Group], config: RlConfig) -> dict[str, float]:
    trained = [p for name, p in checkpoint.vlm.named_parameters() if "visual" not in name]
    return update(checkpoint, some, trained, torch.optim.SGD(trained, lr=0.1), config)


def test_the_first_update_is_on_policy(checkpoint: Checkpoint, small: RlConfig) -> None:
    """Training sees the very tokens, pictures and positions that sampling saw."""
    some = [rewarded(group, [1.0, 0.0, 0.0, -0.2]) for group in groups(checkpoint, small)]
    assert {group.rollouts[0].question.dimension for group in some} == {2, 3}
    figures = step(checkpoint, some, small)
    assert figures["off_policy"] < 2e-5
    assert figures["tokens"] > 0


def test_sampled_boxes_bring_crops_in_images_and_volumes(
    checkpoint: Checkpoint, small: RlConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The box is put into the model's mouth; what follows, its crop included, is trained on as it was seen."""
    from model.vlm import engine

    drawn = engine.draw

    def boxed(scores, rollouts, sampling):
        said = drawn(scores, rollouts, sampling)
        for row, rollout in enumerate(rollouts):
            ids = checkpoint.vocabulary.own(BOXED[rollout.prepared.dimension])
            if len(rollout.logprobs) < len(ids):
                token = ids[len(rollout.logprobs)]
                said[row] = token, float(scores[row].log_softmax(-1)[token])
        return said

    monkeypatch.setattr(engine, "draw", boxed)
    some = groups(checkpoint, small.model_copy(update={"max_tokens": 40}))
    shown = {group.rollouts[0].question.dimension: group.rollouts[0].features for group in some}
    assert len(shown[2]) == 1
    assert len(shown[3]) == 2
    figures = step(checkpoint, [rewarded(group, [1.0, 0.0, 0.0, -0.2]) for group in some], small)
    assert figures["off_policy"] < 2e-5


def test_flat_groups_move_nothing_and_do_not_dilute(checkpoint: Checkpoint, small: RlConfig) -> None:
    some = groups(checkpoint, small)
    before = weights(checkpoint)
    figures = step(checkpoint, [rewarded(group, [0.35] * 4) for group in some], small)
    assert figures["flat"] == 1.0
    assert all(torch.equal(p, q) for p, q in zip(weights(checkpoint), before, strict=True))
    useful = rewarded(some[0], [1.0, 0.0, 0.0, 0.0])
    step(checkpoint, [useful], small)
    alone = weights(checkpoint)
    fresh = folders.load(small.sft)
    step(fresh, [useful, *(rewarded(group, [0.35] * 4) for group in some[1:])], small)
    assert all(torch.equal(p, q) for p, q in zip(weights(fresh), alone, strict=True))


def test_what_is_rewarded_becomes_likelier(checkpoint: Checkpoint, small: RlConfig) -> None:
    (group, *_) = groups(checkpoint, small)
    group = rewarded(Group(list(group.rollouts), [], {}), [1.0, 0.0, 0.0, 0.0])

    def likelihood() -> list[float]:
        from model.learning.losses import target_logprobs
        from model.learning.packing import pack

        row, _ = group.row()
        found = target_logprobs(checkpoint.vlm, pack([row]), checkpoint.vocabulary).detach()
        return [float(some.sum()) for some in found.split([sum(branch.trained) for branch in row.branches])]

    before = likelihood()
    step(checkpoint, [group], small)
    after = likelihood()
    assert after[0] > before[0]


def test_a_truncated_answer_teaches_nothing(checkpoint: Checkpoint, small: RlConfig) -> None:
    (group, *_) = groups(checkpoint, small)
    assert all(rollout.truncated for rollout in group.rollouts)
    before = weights(checkpoint)
    figures = step(checkpoint, [rewarded(group, [1.0, 0.0, 0.0, 0.0], whole=False)], small)
    assert figures["tokens"] == 0
    assert all(torch.equal(p, q) for p, q in zip(weights(checkpoint), before, strict=True))


def test_killed_and_resumed_samples_and_learns_the_same(small: RlConfig, tmp_path: Path) -> None:
    """The same answers are drawn; weights agree to the rounding that BLAS leaves between two runs."""
    config = small.model_copy(update={"max_tokens": 24, "lr": 1e-2})
    calm = train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "calm"), None)
    with pytest.raises(InterruptedError):
        train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "stopped", 2), None)
    again = train(folders.load(small.sft), config, Workers(), FolderSaves(tmp_path / "stopped"), None)
    assert (again.step, again.tokens) == (calm.step, calm.tokens)
    assert again.notes == pytest.approx(calm.notes, abs=1e-5)
    for name in (progress.WEIGHTS, progress.OPTIMISER):
        one, other = (load_file(tmp_path / run / "003" / name) for run in ("calm", "stopped"))
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[key], other[key], rtol=1e-4, atol=1e-5) for key in one)


def test_the_tower_is_never_trained(small: RlConfig, tmp_path: Path) -> None:
    checkpoint = folders.load(small.sft)
    tower = digest(checkpoint.vlm.model.visual)
    train(checkpoint, small, Workers(), FolderSaves(tmp_path), None)
    assert digest(checkpoint.vlm.model.visual) == tower


def test_questions_are_shared_out_over_workers(small: RlConfig, checkpoint: Checkpoint) -> None:
    asked = cases(small.data, "train", checkpoint)
    per_worker = [draw(asked, small, Workers(rank, 2), 0) for rank in range(2)]
    assert sum(map(len, per_worker)) == small.images + small.volumes
