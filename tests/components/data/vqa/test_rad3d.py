from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import read


def test_3d_rad_speaks_of_ct_rate_and_asks_each_scan_once(tmp_path):
    items, report = read("rad3d", layouts.rad3d(tmp_path))
    there = items["Task4-Lung-nodule-test-1"]
    assert (there.subject, there.options, there.family) == ("valid_1", ("Yes", "No"), "existence detection")
    assert there.images == ("dataset/valid_fixed/valid_1/valid_1_a/valid_1_a_1.nii.gz",)
    assert items["Task2-Abnormality_position-test-1"].sides == "patient"
    assert report.unused == {
        "asked of another reconstruction of the scan": 1,
        "letter and text name different options": 1,
        "its volume is not there": 1,
    }
    assert items["Task2-Diagnosis-train-1"].subject == "train_3"
