import json

import numpy as np
import pytest
from PIL import Image

from components.data.sources.folder import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, SHAPE, folder, write


def built(root):
    folder(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def test_subjects_and_splits_are_the_table_s_or_else_each_study_s_own(tmp_path):
    found = built(tmp_path)
    assert {study: (case.subject, case.split) for study, case in found.items()} == {
        "a": ("person 1", "train"), "b": ("person 1", "train"), "c": ("person 2", "test"),
    }  # fmt: skip
    (tmp_path / "subjects.tsv").unlink()
    assert [(case.subject, case.split) for case in cases(tmp_path)] == [("a", ""), ("b", ""), ("c", "")]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("a\tp\nb\tp\n", "lines: found none of c"),
        ("a\tp\nb\tp\nc\tp\nd\tp\n", "d: found 'p'"),
        ("a\tp\nb\tp\nc\tp\tholdout\n", "c: found 'p', 'holdout'"),
        ("a\tp\nb p\nc\tp\n", "line of 'b p': found 1 columns"),
        ("a\tp\na\tq\nb\tp\nc\tp\n", "list: found a twice"),
        ("a\t\nb\tp\nc\tp\n", "a: found ''"),
    ],
)
def test_a_table_of_subjects_that_does_not_fit_is_refused(tmp_path, lines, told):
    built(tmp_path)
    (tmp_path / "subjects.tsv").write_text(lines)
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert f"subjects.tsv, {told}" in caught.value.where


def test_names_come_as_json_too_with_modality_and_licence(tmp_path):
    built(tmp_path)
    (tmp_path / "names.tsv").unlink()
    labels = {"7": "cochlea left", "300": "", "40000": "Left_Kidney"}
    (tmp_path / "names.json").write_text(json.dumps(labels))
    assert next(cases(tmp_path)).open().sought == {"left cochlea", "left kidney"}
    (tmp_path / "names.json").write_text(json.dumps({"labels": labels, "modality": "MR", "licence": "CC0"}))
    case = next(cases(tmp_path))
    assert case.licence == "CC0"
    assert case.open().volume.modality == "MR"


@pytest.mark.parametrize(
    "stored",
    [
        {"labels": {"1": "liver"}, "modality": "PET"},
        {"labels": {"1": "liver"}, "licence": ["CC0"]},
        [],
        {},
        {"labels": {}},
        {"labels": {"a": "liver"}},
        {"1": 2},
        {"labels": {"1": "liver"}, "modalty": "CT"},
    ],
)
def test_a_table_of_names_of_another_form_is_refused(tmp_path, stored):
    built(tmp_path)
    (tmp_path / "names.tsv").unlink()
    (tmp_path / "names.json").write_text(json.dumps(stored))
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert caught.value.where.startswith("names.json, ")


def test_names_that_are_not_there_or_would_be_one_are_told_before_anything_is_read(tmp_path):
    built(tmp_path)
    (tmp_path / "names.tsv").unlink()
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert "found neither it nor names.tsv" in caught.value.where
    (tmp_path / "names.json").write_text('{"1": "foo bar", "2": "foo_bar"}')
    with pytest.raises(BadInput, match="two labels would have one name"):
        list(cases(tmp_path))


def test_two_images_of_one_name_are_refused(tmp_path):
    built(tmp_path)
    write(tmp_path / "images/a.nii", np.ones(SHAPE, np.uint8), AS_STORED)
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert "images, list: found a twice" in caught.value.where


def test_sides_of_a_picture_are_the_picture_s(tmp_path):
    random = np.random.default_rng(3)
    for name, high in (("images", 255), ("labels", 3)):
        (tmp_path / name).mkdir()
        Image.fromarray(random.integers(0, high, (24, 36)).astype(np.uint8)).save(tmp_path / name / "x.png")
    (tmp_path / "names.tsv").write_text("1\tleft lung\n2\tright lung\n")
    found = next(cases(tmp_path)).open()
    assert found.sides == "image"
    labels = np.asarray(Image.open(tmp_path / "labels/x.png"))
    assert (found.outlines[0].mask(found.volume.shape)[:, :, 0] == (labels == 1).T).all()


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("images/b.nii.gz", "labels/b.nii without images/b.*"),
        ("labels/b.nii", "images/b.nii.gz without labels/b.*"),
    ],
)
def test_an_image_without_labels_and_labels_without_an_image_are_named(tmp_path, gone, told):
    built(tmp_path)
    (tmp_path / "subjects.tsv").unlink()
    (tmp_path / gone).unlink()
    (tmp_path / "images/notes.txt").write_text("x")
    with pytest.raises(BadInput, match="not pairs") as caught:
        list(cases(tmp_path))
    assert told in caught.value.where
    assert "images/notes.txt without labels/notes.txt.*" in caught.value.where
    assert "(2 in all)" in caught.value.where


@pytest.mark.parametrize("gone", ["images", "labels"])
def test_which_of_the_two_folders_is_missing_is_told(tmp_path, gone):
    built(tmp_path)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match=f"missing: folder {gone}") as caught:
        list(cases(tmp_path))
    assert caught.value.where.startswith(f"{tmp_path}: found none, wanted images/, labels/")
    with pytest.raises(BadInput, match="missing: folder images") as caught:
        list(cases(tmp_path / "nowhere"))
    assert "nowhere: found no such folder" in caught.value.where
