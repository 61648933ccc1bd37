import json

import pytest

from components.data.vqa import slake
from model.interface.errors import BadInput
from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_slake_is_read_in_english_and_tells_whose_side_is_meant(tmp_path):
    items, report = read("slake", layouts.slake(tmp_path))
    assert set(items) == {"0", "1", "2", "5", "6"}
    assert report.unused == {"not in English": 1, "no question or no answer": 1}
    assert [items[k].sides for k in "012"] == ["image", "patient", "unknown"]
    assert (items["2"].options, items["2"].answer_text) == (("Yes", "No"), "Yes")
    assert items["1"].options == ()


def test_slake_with_an_english_image_in_two_splits_is_refused(tmp_path):
    rows = json.loads((layouts.slake(tmp_path) / "test.json").read_text())
    rows[0]["img_name"] = "xmlab1/source.jpg"
    (tmp_path / "test.json").write_text(json.dumps(rows))
    with pytest.raises(BadInput) as caught:
        list(slake.items(tmp_path, "train"))
    assert "xmlab1/source.jpg, also in train" in caught.value.where
