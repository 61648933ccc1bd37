"""The picture of a step's answers, by its pixels."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageColor

from components.training import showing
from components.training.groups import Group
from components.training.rl_config import RlConfig
from components.training.showing import COLOURS, GAP, SIDE, WIDTH, completions
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from tests.components.training import answers
from tests.components.training.answers import groups, rewarded

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, list[Group]]:
    """Groups that pointed, at an image and at a volume."""
    from model.vlm import engine

    config: RlConfig = answers.config(tmp_path_factory.mktemp("showing"), max_tokens=40)
    checkpoint = folders.load(config.sft)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "draw", answers.boxed(checkpoint, engine.draw))
        return checkpoint, [rewarded(group, [1.0, 0.0, 0.0, -0.2]) for group in groups(checkpoint, config)]


def count(picture: np.ndarray, colour: str) -> int:
    return int((picture == ImageColor.getrgb(colour)).all(-1).sum())


def test_a_box_is_drawn_where_it_was_said_and_its_crops_stand_beside(made: tuple[Checkpoint, list[Group]]) -> None:
    checkpoint, some = made
    [flat, volume] = [next(g for g in some if g.dimension == d) for d in (2, 3)]
    one = completions([flat], checkpoint.contract, answers=1)
    assert (one.dtype, one.shape[1:]) == (np.uint8, (WIDTH, 3))
    rows, columns = np.nonzero((one[:, : GAP + SIDE] == ImageColor.getrgb(COLOURS[0])).all(-1))
    scale = SIDE / 32  # the box is [4,4,20,20] of 32 pixels
    assert (columns.min() - GAP, columns.max() - GAP + 1) == (round(4 * scale), round(20 * scale))
    assert rows.max() - rows.min() + 1 == round(16 * scale)
    beside = [count(completions([g], checkpoint.contract, 1)[:, GAP + SIDE :], COLOURS[0]) for g in (flat, volume)]
    assert 0 < beside[0] < beside[1]  # one crop of an image, one a slice of a volume


def test_an_image_and_a_volume_are_shown_if_possible_where_answers_differ(made: tuple[Checkpoint, list[Group]]) -> None:
    checkpoint, some = made
    first, second = [group for group in some if group.dimension == 2][:2]
    boring = Group(first.rollouts, first.traces, [0.0] * 4, first.sums)
    both = completions(some, checkpoint.contract)
    parts = [completions([g], checkpoint.contract) for g in (first, *[g for g in some if g.dimension == 3])]
    assert both.shape[0] == sum(part.shape[0] for part in parts)
    assert np.array_equal(
        completions([boring, second], checkpoint.contract), completions([second], checkpoint.contract)
    )


def test_the_best_answers_and_the_worst_are_shown(
    made: tuple[Checkpoint, list[Group]], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, some = made
    told: list[str] = []
    draw = showing._text
    monkeypatch.setattr(showing, "_text", lambda text, width: told.append(text) or draw(text, width))
    group = some[0]
    completions([Group(group.rollouts, group.traces, [0.0, -0.2, 1.0, 0.5], group.sums)], checkpoint.contract)
    said = [text for text in told if text.startswith("reward")]
    assert [text.split("\n")[0] for text in said] == ["reward +1.00", "reward +0.50", "reward -0.20"]
    assert said[0].endswith(group.traces[2].text)


def test_nothing_that_names_a_study_is_drawn(made: tuple[Checkpoint, list[Group]]) -> None:
    """Other ids, subjects and digests give the same picture."""
    checkpoint, [group, *_] = made
    traces = [replace(trace, question_id="Jane Doe", study_digest="1980") for trace in group.traces]
    for rollout in group.rollouts:
        rollout.question = replace(rollout.question, id="Jane Doe", study="Jane", subject="Doe")
    renamed = Group(group.rollouts, traces, group.rewards, group.sums)
    before = Group(group.rollouts, group.traces, group.rewards, group.sums)
    assert np.array_equal(completions([renamed], checkpoint.contract), completions([before], checkpoint.contract))
