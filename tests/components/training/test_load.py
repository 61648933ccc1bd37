"""Tokens of a run against those of its rows, and which questions count."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from components.training.drawing import Answerable
from components.training.examples import examples
from components.training.load import Load, load_of
from components.training.rl_config import RlConfig
from components.training.sampler import Mixture
from components.training.shapes import shape_of
from model.imaging import shards
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from model.vlm.room import crop_tokens
from tests.components.training.test_estimate import rl, root, sft

__all__ = ["root"]

FLAT, DEEP = Mixture(volumes=0), Mixture(images=0)


def test_steps_and_tokens_are_those_of_the_run(root: Path) -> None:
    config = sft(root)
    _, mine = examples(config.data, "train", folders.load(config.base))
    rows = [one.row(range(len(one.branches))) for one in mine.values()]
    load = load_of(shape_of(config.base).contract, config)
    assert load.steps == 6
    # this tokenizer knows 700 tokens and needs more of them than a real one: words are counted by characters
    shown = 6 * sum(sum(row.shared.is_picture) for row in rows) / len(rows)
    assert shown < load.a_step < 6 * sum(map(len, rows)) / len(rows)


def test_a_step_is_counted_as_the_mixture_takes_it(root: Path) -> None:
    """Between start and end the mean; of a family of half the weight, half as much is asked."""
    contract = shape_of(root / "base").contract
    even = load_of(contract, sft(root))
    flat, deep = load_of(contract, sft(root, mixture=FLAT)), load_of(contract, sft(root, mixture=DEEP))
    assert flat.a_step < even.a_step < deep.a_step
    assert flat.a_step + deep.a_step == pytest.approx(2 * even.a_step)  # as many images as volumes
    assert flat.longest < even.longest == deep.longest
    turned = load_of(contract, sft(root, mixture=DEEP, mixture_end=FLAT))
    assert turned.a_step == pytest.approx(even.a_step)
    assert turned.longest == even.longest
    assert flat.kept == even.kept  # all is read, whatever is taken


def test_a_family_is_counted_as_often_as_it_is_asked(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(root / "data", data)
    told = shards.read_questions(data, "train")
    shards.write_questions(data, "train", [*told, *(replace(q, id=f"{q.id}-size", family="size") for q in told)])
    contract = shape_of(root / "base").contract

    def load(weight: float) -> Load:
        return load_of(contract, sft(root, data=data, mixture=Mixture(families={"size": weight})))

    whole, half, none = load(1.0), load(0.5), load(0.0)
    assert none.trained == pytest.approx(whole.trained / 2)
    assert half.trained == pytest.approx(whole.trained * 3 / 4)
    assert none.row == pytest.approx(load_of(contract, sft(root)).row)
    assert none.longest < half.longest == whole.longest


@pytest.mark.parametrize("end", [DEEP, Mixture(images=0, volumes=0, text=0)])
def test_a_mixture_that_comes_to_nothing_is_refused(root: Path, tmp_path: Path, end: Mixture) -> None:
    data = tmp_path / "data"
    shutil.copytree(root / "data", data)
    shards.write_questions(data, "train", [q for q in shards.read_questions(data, "train") if q.dimension == 2])
    with pytest.raises(BadInput, match="a step would be empty") as refused:
        load_of(shape_of(root / "base").contract, sft(root, data=data, mixture=FLAT, mixture_end=end))
    assert refused.value.where.startswith("mixture_end: found 0")


def test_a_run_keeps_its_pictures_beside_its_model_only_without_a_gpu(root: Path) -> None:
    config = sft(root, workers=2)
    contract = shape_of(config.base).contract
    _, mine = examples(config.data, "train", folders.load(config.base))
    held = sum(len(f) for one in mine.values() for f in (*one.pictures, *(f for some in one.crops for f in some)))
    assert held / 2 <= load_of(contract, config).kept < 2 * held
    assert load_of(contract, sft(root, gpu=True)).kept == 0


def test_what_rl_asks_is_what_is_counted(root: Path, tmp_path: Path) -> None:
    """Open questions too; none without a truth or about nothing that is shown."""
    data = tmp_path / "data"
    shutil.copytree(root / "data", data)
    told, *others = shards.read_questions(data, "train")
    changed = [
        *(replace(told, id=f"open-{n}", options=(), answer=None, reply="a blob") for n in range(2)),
        replace(told, id="unknown", answer=None),
        replace(told, id="mute", options=(), answer=None),
        replace(told, id="text", study=""),
    ]
    shards.write_questions(data, "train", [told, *others, *changed])
    config = rl(root, data=data, images=1, volumes=1)
    checkpoint = folders.load(config.sft)
    known = Answerable(data, checkpoint)
    asked = [(dimension, known.asked[place][k]) for dimension in (2, 3) for place, k in known.places[dimension]]
    flat = sum(dimension == 2 for dimension, _ in asked)
    assert len(asked) == 14
    assert load_of(checkpoint.contract, config).told.startswith(
        f"{flat} questions about images, {len(asked) - flat} about volumes"
    )


def test_an_answer_may_use_every_budget(root: Path) -> None:
    """At most: a box more is a box of all its slices more, in each of a group's branches."""
    contract = shape_of(root / "base").contract
    one, two, fewer = (
        load_of(contract, rl(root, **told)).longest
        for told in ({"max_boxes": 1}, {"max_boxes": 2}, {"max_boxes": 2, "max_slices": 1})
    )
    assert two - one == pytest.approx(8 * contract.crop_slices * crop_tokens(contract))
    assert fewer == pytest.approx(one)


def test_questions_asked_in_place_of_flat_ones_keep_their_pictures_too(root: Path) -> None:
    contract = shape_of(root / "base").contract
    once, thrice = (load_of(contract, rl(root, resample=n)).kept for n in (0, 2))
    assert thrice == pytest.approx(3 * once)
    assert once > 0


def test_a_batch_is_no_larger_than_a_workers_part_and_its_budget_of_rows(root: Path) -> None:
    contract = shape_of(root / "base").contract

    def batches(**told: object) -> list[tuple[int, int]]:
        return [(b.rows, b.studies) for b in load_of(contract, rl(root, images=5, volumes=2, **told)).batches]

    assert batches(workers=2) == [(24, 3), (8, 1)]
    assert batches(workers=1) == [(40, 5), (16, 2)]
    assert batches(workers=1, rows=8) == [(8, 1), (8, 1)]
    assert batches(workers=1, rows=12) == [(12, 3), (12, 2)]  # from the middle of a group into two others


@pytest.mark.parametrize(("images", "dimension"), [(3, 3), (0, 2)])
def test_a_run_without_a_question_of_the_kind_it_asks_is_refused(
    root: Path, tmp_path: Path, images: int, dimension: int
) -> None:
    data = tmp_path / "data"
    shutil.copytree(root / "data", data)
    some = [q for q in shards.read_questions(data, "train") if q.dimension == dimension]
    shards.write_questions(data, "train", some)
    config = RlConfig(sft=root / "base", data=data, images=images, volumes=0 if images else 3)
    with pytest.raises(BadInput, match="a step would be empty") as refused:
        load_of(shape_of(root / "base").contract, config)
    assert f"{images} + {0 if images else 3} a step" in refused.value.where
    assert len(refused.value.render().splitlines()) == 4
