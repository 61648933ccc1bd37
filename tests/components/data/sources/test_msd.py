import json

import numpy as np
import pytest

from components.data.sources.msd import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, msd


def built(root):
    msd(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_contrast_is_found_by_its_name_wherever_it_stands(tmp_path):
    found = built(tmp_path)
    wanted = found["BRATS_001-t1gd"].open().volume.digest
    names = {"0": "t1gd", "1": "T2w", "2": "FLAIR", "3": "T1w"}
    rewrite(tmp_path / "Task01_BrainTumour/dataset.json", modality=names)
    again = {case.study: case for case in cases(tmp_path)}
    assert again["BRATS_001-FLAIR"].open().volume.digest == wanted
    assert len({again[f"BRATS_001-{name}"].open().volume.digest for name in names.values()}) == 4


def test_contrasts_of_one_head_are_one_subject(tmp_path):
    found = built(tmp_path)
    assert {case.subject for study, case in found.items() if study.startswith("BRATS_001-")} == {"BRATS_001"}
    assert found["BRATS_002-T2w"].open().volume.modality == "MR"
    assert found["liver_0"].open().volume.modality == "CT"


def test_a_contrast_that_is_not_there_is_named(tmp_path):
    built(tmp_path)
    rewrite(tmp_path / "Task01_BrainTumour/dataset.json", modality={"0": "FLAIR", "1": "T1w"})
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert caught.value.where == "dataset.json, modality: found FLAIR, T1w, wanted t1gd"


def test_cancer_is_the_task_s_own(tmp_path):
    assert built(tmp_path)["liver_0"].open().sought == {"liver", "liver tumour"}


def test_one_task_alone_is_read_too(tmp_path):
    found = built(tmp_path)
    assert {case.study for case in cases(tmp_path / "Task03_Liver")} == {"liver_0"} < set(found)


def test_a_case_listed_twice_is_refused(tmp_path):
    built(tmp_path)
    path = tmp_path / "Task03_Liver/dataset.json"
    rewrite(path, training=json.loads(path.read_text())["training"] * 2)
    with pytest.raises(BadInput, match="not the layout"):
        list(cases(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [{"labels": None}, {"labels": {"x": "liver"}}, {"training": "all"}, {"training": [{"image": 3}]}, {"modality": 1}],
)
def test_a_table_of_another_form_is_refused(tmp_path, changes):
    built(tmp_path)
    rewrite(tmp_path / "Task03_Liver/dataset.json", **changes)
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert caught.value.where.startswith("dataset.json, ")
