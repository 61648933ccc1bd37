from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_vqa_rad_keeps_images_of_test_out_of_train_and_names_them(tmp_path):
    items, report = read("vqa_rad", layouts.hub(tmp_path, val=False))
    assert {i.id for i in items.values() if i.split == "train"} == {"train-00000-0", "train-00000-1", "train-00001-0"}
    assert report.samples == {"its image is in test too": ["train-00000-2"]}
    assert items["train-00000-0"].subject == items["train-00001-0"].subject
    train = {i.subject for i in items.values() if i.split == "train"}
    assert not train & {i.subject for i in items.values() if i.split == "test"}
