from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_path_vqa_keeps_later_splits_images_out_and_asks_no_sides(tmp_path):
    items, report = read("path_vqa", layouts.hub(tmp_path, val=True))
    assert report.unused == {"its image is in val too": 1, "its image is in test too": 1}
    assert items["val-00000-0"].sides == "unknown"
