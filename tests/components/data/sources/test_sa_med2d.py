import json

import numpy as np
import pytest

from components.data.sources import sa_med2d
from components.data.sources.sa_med2d import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, sa_picture
from tests.components.data.sources.layouts import sa_med2d as build

SHAPE = (40, 30, 1)


def built(root):
    build(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def one(root, stem, boxes, classes, image=None):
    """A set of one picture. boxes: class number -> (x1, y1, x2, y2)."""
    dataset = stem.split("--")[1]
    noise = np.random.default_rng(5).integers(1, 250, SHAPE)
    sa_picture(root / f"images/{stem}.png", noise if image is None else image)
    masks = []
    for number, (x1, y1, x2, y2) in boxes.items():
        mask = np.zeros(SHAPE)
        mask[x1:x2, y1:y2] = 255
        masks.append(f"masks/{stem}--{number:04d}_000.png")
        sa_picture(root / masks[-1], mask)
    (root / "SAMed2D_v1.json").write_text(json.dumps({f"images/{stem}.png": masks}))
    (root / "SAMed2D_v1_class_mapping_id.json").write_text(json.dumps({dataset: classes}))
    return list(cases(root))


def test_slices_of_one_case_are_one_subject(tmp_path):
    assert {case.subject for case in built(tmp_path).values()} == {"AbdomenCT1K--Case_00011", "ISLES2016--training_5"}


def test_no_side_is_known_and_nothing_is_absent(tmp_path):
    for case in built(tmp_path).values():
        found = case.open()
        assert found.sides == "unknown"
        assert found.sought == {outline.name for outline in found.outlines}


def test_grey_levels_of_a_ct_are_no_hounsfield_units(tmp_path):
    found = built(tmp_path)
    assert found["ct_00--AbdomenCT1K--Case_00011--z_0041"].open().volume.modality == ""
    assert found["mr_adc--ISLES2016--training_5--x_0001"].open().volume.modality == "MR"


CLASSES = {"kidney_left": 1, "kidney_right": 2, "pancreas": 3}
UPSIDE_DOWN = {1: (2, 3, 8, 9), 2: (30, 4, 36, 10), 3: (12, 18, 26, 22)}
"""The spine up and the patient's left at the picture's: as it is stored x ascends to the right and y to the front."""


@pytest.mark.parametrize(("turn_x", "turn_y"), [(False, False), (True, False), (False, True), (True, True)])
def test_paired_organs_tell_the_sides_of_an_axial_slice(tmp_path, turn_x, turn_y):
    def turned(box):
        x1, y1, x2, y2 = box
        x1, x2 = (SHAPE[0] - x2, SHAPE[0] - x1) if turn_x else (x1, x2)
        y1, y2 = (SHAPE[1] - y2, SHAPE[1] - y1) if turn_y else (y1, y2)
        return x1, y1, x2, y2

    boxes = {number: turned(box) for number, box in UPSIDE_DOWN.items()}
    found = one(tmp_path, "ct_00--Totalsegmentator_dataset--s0114--z_0111", boxes, CLASSES)[0].open()
    assert (found.sides, found.volume.plane) == ("patient", "axial")
    names = {"left kidney": 1, "right kidney": 2, "pancreas": 3}
    for outline in found.outlines:
        x1, y1, x2, y2 = UPSIDE_DOWN[names[outline.name]]
        assert outline.box.numbers == (x1, y1, 0, x2, y2, 1)


def test_a_slice_along_another_axis_is_not_calibrated(tmp_path):
    found = one(tmp_path, "ct_00--Totalsegmentator_dataset--s0114--y_0111", UPSIDE_DOWN, CLASSES)[0].open()
    assert found.sides == "unknown"


def test_images_that_are_masks_are_left_out_or_refused(tmp_path):
    assert one(tmp_path, "mr_t1--x--brain-growth_3--z_0001", {1: (2, 3, 8, 9)}, {"brain": 1}) == []
    binary = np.zeros(SHAPE)
    binary[4:20, 5:20] = 255
    case = one(tmp_path, "mr_t1--Brain_PTM--case_1--z_0001", {1: (2, 3, 8, 9)}, {"brain": 1}, binary)[0]
    with pytest.raises(BadInput, match="itself a mask"):
        case.open()


def test_inverted_masks_are_left_out(tmp_path):
    assert one(tmp_path, "fundus--ichallenge_adam_task2--a--2d_none", {1: (2, 3, 8, 9)}, {"optic disc": 1}) == []


def test_the_whole_cavity_is_left_out(tmp_path):
    boxes = {1: (2, 3, 8, 9), 3: (2, 3, 20, 20)}
    case = one(tmp_path, "mr_cine--ACDC--patient001--z_0001", boxes, {"right ventricle": 1, "cavity": 3})[0]
    assert [outline.name for outline in case.open().outlines] == ["right ventricle"]


def test_a_mask_of_another_shape_is_refused(tmp_path):
    case = built(tmp_path)["ct_00--AbdomenCT1K--Case_00011--z_0040"]
    sa_picture(case.files[-1], np.ones((20, 17, 1)) * 255)
    with pytest.raises(BadInput, match="different grids") as caught:
        case.open()
    assert caught.value.where.startswith(f"masks/{case.files[-1].name}, shape: ")


def test_an_unknown_class_is_named(tmp_path):
    with pytest.raises(BadInput) as caught:
        one(tmp_path, "ct_00--KiTS--case_1--z_0001", {4: (2, 3, 8, 9)}, {"kidney": 1})
    assert "class: found 4 of KiTS" in caught.value.where


@pytest.mark.parametrize("name", ["ct_00--KiTS--z_0001", "slice", "ct_00--KiTS--1--x--0"])
def test_a_name_of_another_form_is_refused(tmp_path, name):
    (tmp_path / "SAMed2D_v1.json").write_text(json.dumps({f"images/{name}.png": []}))
    (tmp_path / "SAMed2D_v1_class_mapping_id.json").write_text("{}")
    with pytest.raises(BadInput, match="not the layout"):
        list(cases(tmp_path))


def test_the_unpacked_folder_is_found_inside_another(tmp_path):
    assert {case.study for case in cases(built_inside(tmp_path))} == set(built(tmp_path / "again"))


def built_inside(root):
    built(root / "SAMed2Dv1")
    return root


@pytest.mark.parametrize("chunk", [16, 100, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_list_is_read_piece_by_piece(tmp_path, monkeypatch, chunk, indent):
    entries = {f"images/{i}.png": [f"masks/{i}--{j}.png" for j in range(i % 3)] for i in range(50)}
    path = tmp_path / "list.json"
    path.write_text(json.dumps(entries, indent=indent))
    monkeypatch.setattr(sa_med2d, "CHUNK", chunk)
    assert dict(sa_med2d._entries(path)) == entries


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a": ["b"]', '{"a": ["b"], "c"', '{"a": {"b": 1}}', '{"a": ["b"]} x', "{"]
)
def test_a_damaged_list_is_refused(tmp_path, text):
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="not the layout"):
        list(sa_med2d._entries(path))
