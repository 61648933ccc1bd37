from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_medxpertqa_has_an_e_several_images_and_its_options_once(tmp_path):
    items, report = read("medxpertqa_mm", layouts.medxpertqa_mm(tmp_path))
    assert (items["MM-1"].letter, items["MM-1"].answer_text, items["MM-1"].text) == ("E", "V", "Which sign?")
    assert items["MM-1"].images == ("images/MM-1-a.jpeg", "images/MM-1-b.png")
    assert report.unused == {"its letter is no option": 1}
    assert items["MM-3"].split == "val"
