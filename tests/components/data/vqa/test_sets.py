"""The traps of each set, one promise each."""

import json

import pytest

from components.data.vqa import deep_tumor_vqa, hub, pmc_vqa, slake, vqa_rad
from components.data.vqa.item import Report
from components.data.vqa.registry import adapter
from model.interface.errors import BadInput
from tests.components.data.vqa import layouts
from tests.components.data.vqa.layouts import LAYOUTS, choices, png, put_csv


def read(name, root, split=""):
    report = Report()
    items = list(adapter(name).items(root, split, report))
    return {item.id: item for item in items}, report


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


def test_vqa_rad_keeps_images_of_test_out_of_train_and_names_them(tmp_path):
    items, report = read("vqa_rad", layouts.hub(tmp_path, val=False))
    assert {i.id for i in items.values() if i.split == "train"} == {"train-00000-0", "train-00000-1", "train-00001-0"}
    assert report.samples == {"its image is in test too": ["train-00000-2"]}
    assert items["train-00000-0"].subject == items["train-00001-0"].subject
    train = {i.subject for i in items.values() if i.split == "train"}
    assert not train & {i.subject for i in items.values() if i.split == "test"}


def test_path_vqa_keeps_later_splits_images_out_and_asks_no_sides(tmp_path):
    items, report = read("path_vqa", layouts.hub(tmp_path, val=True))
    assert report.unused == {"its image is in val too": 1, "its image is in test too": 1}
    assert items["val-00000-0"].sides == "unknown"


def test_a_picture_inside_a_table_is_found_again(tmp_path):
    layouts.hub(tmp_path, val=False)
    items = {item.id: item for item in vqa_rad.items(tmp_path)}
    assert hub.picture(tmp_path, items["test-00000-1"].images[0]) == png(4)
    with pytest.raises(BadInput, match="no such picture"):
        hub.picture(tmp_path, "data/test-00000-of-00001-c3.parquet#9")


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


def test_omni_med_vqa_finds_the_letter_and_leaves_ambiguous_ones_out(tmp_path):
    items, report = read("omni_med_vqa", layouts.omni_med_vqa(tmp_path))
    assert (items["ACRIMA_1"].letter, items["ACRIMA_1"].answer_text) == ("B", "no")
    assert report.samples == {"two options are alike": ["ACRIMA_2"], "the answer is no option": ["ACRIMA_3"]}
    assert (items["ACRIMA_4"].modality, items["ACRIMA_4"].sides) == ("Fundus", "unknown")


def test_medxpertqa_has_an_e_several_images_and_its_options_once(tmp_path):
    items, report = read("medxpertqa_mm", layouts.medxpertqa_mm(tmp_path))
    assert (items["MM-1"].letter, items["MM-1"].answer_text, items["MM-1"].text) == ("E", "V", "Which sign?")
    assert items["MM-1"].images == ("images/MM-1-a.jpeg", "images/MM-1-b.png")
    assert report.unused == {"its letter is no option": 1}
    assert items["MM-3"].split == "val"


def test_m3d_vqa_knows_nobody_s_sides_and_wants_letter_and_text_to_agree(tmp_path):
    items, report = read("m3d_vqa", layouts.m3d_vqa(tmp_path), "test")
    assert [i.family for i in items.values()] == ["plane", "location"]
    assert [i.sides for i in items.values()] == ["unknown", "unknown"]
    assert {i.images for i in items.values()} == {("M3D_Cap_npy/ct_case/000001/Axial.npy",)}
    assert {i.subject for i in items.values()} == {"ct_case/000001"}
    assert report.unused == {"letter and text name different options": 1}


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


def test_radgenome_uses_first_reconstructions_only(tmp_path):
    items, report = read("radgenome_chestct", layouts.radgenome_chestct(tmp_path))
    assert len(items) == 8
    assert {i.subject for i in items.values()} == {"train_1", "valid_1"}
    assert report.unused == {"not of a first reconstruction": 8, "its volume is not there": 8}


def test_a_volume_that_is_none_of_ct_rate_s_is_named(tmp_path):
    layouts.radgenome_chestct(tmp_path)
    row = {"Volumename": "scan7.nii.gz", "Question": "?", "Answer": "a"}
    put_csv(tmp_path / "dataset/radgenome_files/train_vqa_size.csv", [row])
    with pytest.raises(BadInput) as caught:
        read("radgenome_chestct", tmp_path)
    assert "train_vqa_size.csv, row 1, volume: found 'scan7.nii.gz'" in caught.value.where


def test_deep_tumor_vqa_takes_options_from_inside_the_question(tmp_path):
    items, report = read("deep_tumor_vqa", layouts.deep_tumor_vqa(tmp_path))
    assert items["bench_00000"].options == ("Normal (no splenomegaly)", "Moderate", "Severe", "Mild")
    assert items["bench_00000"].text == "How large is hepatitis B: the spleen?"
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


def test_every_layout_is_read_lazily(tmp_path):
    root = LAYOUTS["pmc_vqa"](tmp_path)
    report = Report()
    items = adapter("pmc_vqa").items(root, "", report)
    next(items)
    assert report.used == 1
