"""Pages of real studies of the small world, with answers made up."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.compare.differences import changed
from components.compare.items import Data, items, parted, pictures
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
    return Run(name, f"run <{name}>", {0: rows}, {0: {"digests": {"data": "d"}}}, contract or {})


def test_changed_answers_lead_to_both_traces_beside_one_another(data: Path, tmp_path: Path) -> None:
    good, bad = answering("good", data, right=True), answering("bad", data, right=False, contract={"crop_slices": 0})
    some = changed(good, bad, ("2d", "3d"))[:2]
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


def test_each_trace_is_shown_under_its_own_contract(data: Path, tmp_path: Path) -> None:
    """The same box brings a crop to the one run and nothing to the other."""
    good, bad = answering("good", data, right=True), answering("bad", data, right=False, contract={"crop_slices": 0})
    (told,) = items(good, bad, changed(good, bad, ("2d",))[:1], Data(data), world.CONTRACT, tmp_path / "page.html")
    page = tmp_path / told.link
    pictures = [page.with_name(f"{page.stem}-{k}.html").read_text().count("data:image") for k in (0, 1)]
    assert pictures[0] == pictures[1] + 1


def test_pairs_of_one_page_have_pages_of_their_own(data: Path, tmp_path: Path) -> None:
    good, bad = answering("good", data, right=True), answering("bad", data, right=False)
    some = changed(good, bad, ("2d",))[:1]
    told = [items(good, bad, some, Data(data), world.CONTRACT, tmp_path / "page.html", pair) for pair in (0, 1)]
    assert told[0][0].link != told[1][0].link


@pytest.mark.parametrize(
    ("asked", "text", "options"),
    [
        ("Which?\n\nA. one\nB. two", "Which?", ("A. one", "B. two")),
        ("Look at it.\nWhich?\n\nA. one\nB. two", "Look at it.\nWhich?", ("A. one", "B. two")),
        ("Which?\n\nA. one\nor more\nB. two", "Which?", ("A. one\nor more", "B. two")),
        ("Look at it.\nWhere is it?", "Look at it.\nWhere is it?", ()),
        ("Look at it.\n\nWhere is it?", "Look at it.\n\nWhere is it?", ()),
    ],
)
def test_a_question_is_told_apart_from_its_options(asked: str, text: str, options: tuple[str, ...]) -> None:
    assert parted(asked) == (text, options)


def test_without_data_only_what_was_said_is_told(data: Path, tmp_path: Path) -> None:
    good, bad = answering("good", data, right=True), answering("bad", data, right=False)
    some = changed(good, bad, ("2d", "3d"))[:1]
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
