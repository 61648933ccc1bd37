from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_radgenome_uses_first_reconstructions_only(tmp_path):
    items, report = read("radgenome_chestct", layouts.radgenome_chestct(tmp_path))
    assert len(items) == 8
    assert {i.subject for i in items.values()} == {"train_1", "valid_1"}
    assert report.unused == {"not of a first reconstruction": 8, "its volume is not there": 8}
