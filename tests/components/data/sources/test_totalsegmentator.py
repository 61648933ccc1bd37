import numpy as np
import pytest

from components.data.sources.totalsegmentator import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, SHAPE, totalsegmentator, write


def built(root):
    totalsegmentator(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def test_split_and_modality_are_the_set_s(tmp_path):
    found = built(tmp_path)
    assert [(case.study, case.split) for case in found.values()] == [
        ("s0003", "train"), ("s0011", "test"), ("s0020", "val"),
    ]  # fmt: skip
    assert [case.open().volume.modality for case in found.values()] == ["CT", "CT", "MR"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image_id,split\ns0003,train\n", "header: found columns image_id,split, wanted"),
        ("image_id;age\ns0003;4\n", "header: found columns image_id, age, wanted"),
        ("", "header: found columns none, wanted"),
        ("image_id;split\ns0003;training\n", "s0003: found training, wanted"),
        ("image_id;split\n../s0003;train\n", "../s0003: found train, wanted"),
        ("image_id;split\ns0003;train\ns0003;test\n", "list: found s0003 twice"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, text, told):
    built(tmp_path)
    (tmp_path / "meta.csv").write_text(text)
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert told in caught.value.where


def test_wrong_sides_of_a_scan_are_found_and_not_told(tmp_path):
    built(tmp_path)
    for name, x in (("kidney_left", 16), ("kidney_right", 2)):  # x ascends to the patient's right
        mask = np.zeros(SHAPE, np.uint8)
        mask[x : x + 3, 2:6, 3:7] = 1
        write(tmp_path / f"s0003/segmentations/{name}.nii.gz", mask, AS_STORED)
    found = {case.study: case.open() for case in cases(tmp_path)}
    assert found["s0003"].sides == "unknown"
    assert found["s0011"].sides == "patient"
