from pathlib import Path

import pytest

from components.ablation.cells import FILE, Cell, Plan, Reinforcement, Training, plan
from components.ablation.variants import a_step, drawn_heads, mixed, ungrounded, write
from model.imaging import shards
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.question import Remark
from tests.components import world
from tests.components.evaluation.made import question

ROOT = Path(__file__).parents[3]
PLAN = Plan(training=Training(heads=4, studies=4), rl=Reinforcement(heads=3), cells={"joint": Cell()})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.data(tmp_path_factory.mktemp("variants") / "data")


def written(data: Path, out: Path, cell: Cell, seed: int = 0) -> tuple[set[str], list]:
    """(ids of its studies, its questions)."""
    write(data, out, cell, PLAN, seed)
    shards.verify(out)
    return {study.id for study in shards.read_studies(out, "train")}, shards.read_questions(out, "train")


def test_joint_has_all_of_its_heads(data: Path, tmp_path: Path) -> None:
    ids, questions = written(data, tmp_path, Cell())
    assert len(ids) == len(questions) == 8
    assert {name.rsplit("-", 1)[0] for name in ids} == {name.rsplit("-", 1)[0] for name in ids if name.endswith("3d")}


@pytest.mark.parametrize(("mixture", "ending"), [("2d", "2d"), ("3d", "3d")])
def test_one_dimension_is_the_same_heads_and_the_same_studies(data: Path, tmp_path: Path, mixture, ending: str) -> None:
    joint, _ = written(data, tmp_path / "joint", Cell())
    alone, _ = written(data, tmp_path / "alone", Cell(mixture=mixture))
    assert alone == {name for name in joint if name.endswith(ending)}


def test_few_volumes_leave_every_image_and_are_the_same_alone(data: Path, tmp_path: Path) -> None:
    joint, _ = written(data, tmp_path / "joint", Cell())
    few, _ = written(data, tmp_path / "few", Cell(volumes=1))
    alone, _ = written(data, tmp_path / "alone", Cell(volumes=1, mixture="3d"))
    assert few == {name for name in joint if name.endswith("2d")} | alone
    assert len(alone) == 1 and alone < joint


def test_every_mixture_takes_as_many_steps(data: Path, tmp_path: Path) -> None:
    for mixture in ("joint", "2d", "3d", "matched"):
        made = write(data, tmp_path / mixture, Cell(mixture=mixture), PLAN, 0)
        assert round(made.studies / made.a_step) == 2, mixture  # 8 studies, 4 a step


def test_the_cells_of_few_volumes_take_as_many_steps_as_each_other() -> None:
    """A step takes whole studies: of 40 volumes 2 a step would have been 20 steps an epoch beside 22."""
    planned = plan(ROOT / FILE)
    few = planned.cells["few-volumes"].volumes
    assert few and planned.cells["few-volumes-only-3d"].volumes == few
    for images, volumes in ((434, 93), (439, 96), (432, 95)):  # of the embedded data by seeds 0, 1 and 3
        there = images + volumes
        taken = [round(kept / a_step(kept, there, planned.training.studies)) for kept in (there, images + few, few)]
        assert taken == [22, 22, 22]


def test_matched_is_as_many_studies_as_there_are_volumes_in_the_joint_proportion() -> None:
    there = [(f"v{k}", 3) for k in range(20)] + [(f"i{k}", 2) for k in range(80)]
    kept = mixed(there, "matched", 0)
    assert len(kept) == 20
    assert sum(name.startswith("v") for name in kept) == 4
    assert mixed(there, "matched", 1) != kept


def test_the_seed_draws_the_heads_for_all_cells_alike(data: Path, tmp_path: Path) -> None:
    groups = [f"h{k}" for k in range(30)]
    assert drawn_heads(groups, (10, 5), 0) == drawn_heads(reversed(groups), (10, 5), 0)
    assert drawn_heads(groups, (10, 5), 0) != drawn_heads(groups, (10, 5), 1)
    assert list(map(len, drawn_heads(groups, (10, 5), 0))) == [10, 5]
    assert list(map(len, drawn_heads(groups, (25, 10), 0))) == [25, 5]


def test_rl_asks_about_heads_that_its_forerunner_was_not_taught_by(data: Path, tmp_path: Path) -> None:
    taught, _ = written(data, tmp_path / "joint", Cell())
    asked, _ = written(data, tmp_path / "rl", Cell(after="joint"))
    heads = {name.rsplit("-", 1)[0] for name in asked}
    assert len(heads) == 2 and not heads & {name.rsplit("-", 1)[0] for name in taught}
    everyone = PLAN.model_copy(update={"training": Training(heads=99)})
    with pytest.raises(BadInput, match="no head is left for RL"):
        write(data, tmp_path / "none", Cell(after="joint"), everyone, 0)


def test_ungrounded_says_the_same_without_pointing() -> None:
    box = Box.of((4, 6, 2, 14, 20, 9))
    asked = question(rationale=(Remark("The infarct is at", box, "infarct", "lesion"), Remark("It is on the left.")))
    told = ungrounded(asked).rationale
    assert [remark.text for remark in told] == ["The infarct is seen.", "It is on the left."]
    assert not any(remark.box for remark in told)
    assert (ungrounded(asked).text, ungrounded(asked).answer) == (asked.text, asked.answer)


def test_an_ungrounded_folder_has_no_box(data: Path, tmp_path: Path) -> None:
    _, questions = written(data, tmp_path, Cell(grounded=False, crops="none"))
    assert questions and not any(remark.box for question in questions for remark in question.rationale)
