import xml.etree.ElementTree as ET

import pytest

from components.compare.differences import Compared, every
from components.compare.forest import COLOURS, LEFT, WIDTH, forest
from components.evaluation.paired import Difference
from tests.components.compare.made import run

ROWS = every([run("bad", 12), run("good", 2)], ("accuracy", "box_iou"))


def points(svg: str) -> list[float]:
    return [float(node.get("cx", 0)) for node in ET.fromstring(svg).iter() if node.tag.endswith("circle")]


def test_a_point_lies_on_its_side_of_nothing() -> None:
    better, none = points(forest(ROWS))
    middle = LEFT + WIDTH / 2
    assert better > middle
    assert none == middle
    (worse,) = points(forest(every([run("good", 2), run("bad", 12)], ("accuracy",))))
    assert worse < middle


def test_an_allowed_loss_is_marked_where_it_lies() -> None:
    row = Compared("a", "b", "box_iou", "3d", Difference(0.0, -0.01, 0.01, 0.01, 9, 5), corrected=0.01, within=0.02)
    (mark,) = [node for node in ET.fromstring(forest([row])).iter() if node.get("class") == "within"]
    assert LEFT < float(mark.get("x1", 0)) < LEFT + WIDTH / 2
    assert row.verdict == "kept"
    assert COLOURS["kept"] in forest([row])
    assert 'class="within"' not in forest(ROWS)


def test_a_rise_that_is_allowed_is_marked_on_its_side() -> None:
    row = Compared("a", "b", "brier", "3d", Difference(0.0, -0.01, 0.01, 0.01, 9, 5), corrected=0.01, within=0.02)
    (mark,) = [node for node in ET.fromstring(forest([row])).iter() if node.get("class") == "within"]
    assert float(mark.get("x1", 0)) > LEFT + WIDTH / 2


@pytest.mark.parametrize("reach", [0.001, 0.09, 0.9, 4.5, 30.0])
def test_however_far_it_reaches_there_are_few_ticks(reach: float) -> None:
    svg = forest([Compared("a", "b", "accuracy", "3d", Difference(0.0, -reach, reach, 0.1, 9, 5))])
    ticks = [float(node.text or "") for node in ET.fromstring(svg).iter() if node.get("class") == "tick"]
    assert 3 <= len(ticks) <= 9
    assert ticks == [-tick for tick in reversed(ticks)]


def test_what_is_counted_is_left_to_the_table() -> None:
    """Tokens on the same axis would leave accuracy no room."""
    long = Compared("a", "b", "length", "3d", Difference(30.0, 20.0, 40.0, 0.1, 9, 5))
    assert forest([*ROWS, long]) == forest(ROWS)


def test_names_are_words_not_markup() -> None:
    row = Compared("<b>", "&", "accuracy", "3d", Difference(0.1, 0.0, 0.2, 0.1, 9, 5))
    assert "<b>" not in forest([row])
    ET.fromstring(forest([row]))


def test_nothing_measured_is_no_plot() -> None:
    assert forest([]) == ""
    assert forest([Compared("a", "b", "accuracy", "3d", Difference(None, None, None, None, 0, 1))]) == ""


def test_a_row_without_an_interval_is_a_point_alone() -> None:
    svg = forest([Compared("a", "b", "accuracy", "3d", Difference(0.1, None, None, None, 9, 1))])
    assert len(points(svg)) == 1
    assert "[" not in svg
