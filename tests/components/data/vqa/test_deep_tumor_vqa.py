import pytest

from components.data.vqa import deep_tumor_vqa
from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_deep_tumor_vqa_takes_options_from_inside_the_question(tmp_path):
    items, report = read("deep_tumor_vqa", layouts.deep_tumor_vqa(tmp_path))
    assert items["bench_00000"].options == ("Normal (no splenomegaly)", "Moderate", "Severe", "Mild")
    assert items["bench_00000"].text == "In hepatitis A: how large is the spleen?"
    assert items["bench_00007"].split == "train"
    assert report.unused == {
        "spacing or shape isn't three lengths": 1,
        "its letter is no option": 1,
        "letter and text name different options": 1,
        "its volume is not there": 1,
    }


@pytest.mark.parametrize(
    "asked",
    ["Which? A: one B: two C: three", "Which?\nA. one\nB. two\nC. three\n", "Which? (A) one (B) two (C) three"],
)
def test_options_are_found_however_they_are_set(asked):
    found = deep_tumor_vqa.options_in(asked, "Which?")
    assert list(found) == ["A", "B", "C"]
    assert found == {"A": "one", "B": "two", "C": "three"}
