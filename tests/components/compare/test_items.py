"""Pages of real studies of the small world, with answers made up."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.compare.differences import changed
from components.compare.items import Data, items, pictures
from components.compare.runs import Run
from model.imaging import shards
from tests.components import world
from tests.components.compare.made import row


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.data(tmp_path_factory.mktemp("items") / "data", heads=3)


def answering(name: str, data: Path, *, right: bool, contract: dict | None = None) -> Run:
    questions = shards.read_questions(data, "test")
    rows = {q.id: replace(row(0, right, dimension=q.dimension), question=q.id) for q in questions}
    return Run(name, f"run <{name}>", {0: rows}, {"data": "d"}, contract or {})


def test_changed_answers_lead_to_both_traces_beside_one_another(data: Path, tmp_path: Path) -> None:
    good, bad = answering("good", data, right=True), answering("bad", data, right=False, contract={"crop_slices": 0})
    some = changed(good, bad)[:2]
    told = items(good, bad, some, Data(data), world.CONTRACT, tmp_path / "page.html")
    assert len(told) == 2
    assert told[0].text == "Is there a blob?"
    assert told[0].options == ("A. Yes", "B. No")
    assert (told[0].right, told[0].gained, told[0].of) == ("A", True, 1)
    page = (tmp_path / told[0].link).read_text()
    assert page.count("<iframe") == 2
    assert "run &lt;good&gt;" in page
    both = sorted((tmp_path / told[0].link).parent.glob(f"{Path(told[0].link).stem}-[01].html"))
    assert [">wrong<" in file.read_text() for file in both] == [False, True]


def test_without_data_only_what_was_said_is_told(data: Path, tmp_path: Path) -> None:
    good, bad = answering("good", data, right=True), answering("bad", data, right=False)
    some = changed(good, bad)[:1]
    (told,) = items(good, bad, some, Data(tmp_path / "absent"), world.CONTRACT, tmp_path / "page.html")
    assert (told.link, told.text, told.right) == ("", "Is there a blob?", "A")
    assert told.ours.endswith("A. Yes") and told.theirs.endswith("B. No")
    assert not list(tmp_path.glob("page-items*"))


def test_a_run_has_pictures_of_what_it_got_right_and_wrong(data: Path, tmp_path: Path) -> None:
    base = world.checkpoint(tmp_path / "base")
    drawn = pictures(answering("good", data, right=True), 0, Data(data), base)
    assert list(drawn) == ["right"]
    assert drawn["right"].ndim == 3
    assert pictures(answering("good", data, right=True), 0, Data(tmp_path / "absent"), base) == {}
