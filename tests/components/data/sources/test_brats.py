import numpy as np
import pytest

from components.data.sources.brats import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, SHAPE, brats, write


def built(root):
    brats(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def test_time_points_and_years_of_one_person_are_one_subject(tmp_path):
    subjects = {study.rsplit("-", 1)[0]: case.subject for study, case in built(tmp_path).items()}
    assert subjects == {
        "BraTS-GLI-00021-000": "00021", "BraTS-GLI-00021-001": "00021", "BraTS2021_00021": "00021",
        "BraTS20_Training_021": "BraTS20_Training_021",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("study", "joint", "contrast", "value"),
    [("BraTS2021_00021", "_", "t1ce", 3), ("BraTS-GLI-00021-000", "-", "t1c", 4)],
)
def test_a_label_of_another_time_is_refused(tmp_path, study, joint, contrast, value):
    built(tmp_path)
    write(tmp_path / study / f"{study}{joint}seg.nii.gz", np.full(SHAPE, value, np.uint8), AS_STORED)
    found = {case.study: case for case in cases(tmp_path)}
    with pytest.raises(BadInput) as caught:
        found[f"{study}-{contrast}"].open()
    assert f"found {value}, wanted 0 or one of 1, 2, " in caught.value.where


def test_enhancing_tumour_is_4_before_2023_and_3_since(tmp_path):
    built(tmp_path)
    for study, joint, value in (("BraTS2021_00021", "_", 4), ("BraTS-GLI-00021-000", "-", 3)):
        write(tmp_path / study / f"{study}{joint}seg.nii.gz", np.full(SHAPE, value, np.uint8), AS_STORED)
    found = {case.study: case for case in cases(tmp_path)}
    for study in ("BraTS2021_00021-t1", "BraTS-GLI-00021-000-t2f"):
        assert [outline.name for outline in found[study].open().outlines] == ["enhancing tumour"]


@pytest.mark.parametrize("name", ["BraTS-MEN-00004-000", "BraTS19_CBICA_AAB_1", "BraTS-GLI-21-0"])
def test_another_brats_is_refused_by_name(tmp_path, name):
    built(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert caught.value.where.startswith(f"{name}, name: ")
