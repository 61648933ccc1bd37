import pytest

from components.data.vqa import pmc_vqa
from components.data.vqa.item import Report
from components.data.vqa.registry import adapter
from model.interface.errors import BadInput
from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import LAYOUTS, choices, put_csv, read


def test_pmc_vqa_2_takes_letters_off_only_where_every_option_has_its_own(tmp_path):
    items, report = read("pmc_vqa", layouts.pmc_vqa_2(tmp_path))
    assert items["train_2-1"].options == ("liver", "spleen", "lung", "heart")
    assert items["train_2-1"].answer_text == "spleen"
    assert items["train_2-2"].options[0] == "A. fumigatus"
    assert report.unused == {"two options are alike": 1, "its own column names another split": 1}


def test_pmc_vqa_1_is_read_through_its_misspelt_column(tmp_path):
    items, _ = read("pmc_vqa", layouts.pmc_vqa_1(tmp_path))
    assert (items["train-1"].answer_text, items["test-1"].answer_text) == ("mr", "us")


def test_pmc_vqa_without_any_answer_column_is_refused(tmp_path):
    layouts.pmc_vqa_1(tmp_path)
    row = {"Figure_path": "PMC7_F2.jpg", "Question": "What?", **choices("a", "b", "c", "d")}
    put_csv(tmp_path / "train.csv", [row])
    with pytest.raises(BadInput) as caught:
        list(pmc_vqa.items(tmp_path, "train"))
    assert "train.csv, columns: found no Answer, wanted Answer or Anwser" in caught.value.where


def test_every_layout_is_read_lazily(tmp_path):
    root = LAYOUTS["pmc_vqa"](tmp_path)
    report = Report()
    items = adapter("pmc_vqa").items(root, "", report)
    next(items)
    assert report.used == 1
