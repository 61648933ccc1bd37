from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_omni_med_vqa_finds_the_letter_and_leaves_ambiguous_ones_out(tmp_path):
    items, report = read("omni_med_vqa", layouts.omni_med_vqa(tmp_path))
    assert (items["ACRIMA_1"].letter, items["ACRIMA_1"].answer_text) == ("B", "no")
    assert report.samples == {"two options are alike": ["ACRIMA_2"], "the answer is no option": ["ACRIMA_3"]}
    assert (items["ACRIMA_4"].modality, items["ACRIMA_4"].sides) == ("Fundus", "unknown")
