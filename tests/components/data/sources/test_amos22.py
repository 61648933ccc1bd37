import json

import numpy as np
import pytest

from components.data.sources.amos22 import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AMOS_JSON, AS_STORED, amos22


def built(root):
    amos22(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def test_numbers_from_500_are_mr(tmp_path):
    found = built(tmp_path)
    assert found["amos_0004"].open().volume.modality == "CT"
    assert found["amos_0507"].open().volume.modality == "MR"


def test_splits_are_the_folders_and_scans_without_labels_are_not_listed(tmp_path):
    found = built(tmp_path)
    assert {study: case.split for study, case in found.items()} == {
        "amos_0004": "train", "amos_0507": "train", "amos_0006": "val", "amos_0008": "val",
    }  # fmt: skip


def test_all_fifteen_are_sought(tmp_path):
    assert len(built(tmp_path)["amos_0004"].open().sought) == 15


def test_another_order_of_the_kidneys_is_refused(tmp_path):
    built(tmp_path)
    swapped = AMOS_JSON | {"2": "left kidney", "3": "right kidney"}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": swapped}))
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert caught.value.where == "dataset.json, labels, 2: found left kidney, wanted right kidney"


def test_a_name_without_its_number_is_refused(tmp_path):
    built(tmp_path)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder / "amos_0004.nii.gz").rename(tmp_path / folder / "scan.nii.gz")
    with pytest.raises(BadInput, match="not the layout"):
        list(cases(tmp_path))
