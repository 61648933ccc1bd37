"""`urm data build|check|card --source …` on a folder of NIfTI files."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from components import tracking
from components.data.cot import card
from flows.cli import app
from model.imaging import shards
from model.interface.errors import BadInput
from tests.components.data.cot import blobs

NAMES = (*blobs.PLACES, blobs.LESION)


@pytest.fixture(scope="module")
def masks(tmp_path_factory) -> Path:
    """24 bodies as a user's folder of images, labels and names."""
    root = tmp_path_factory.mktemp("masks")
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for k in range(24):
        body = blobs.body(k)
        labels = np.zeros(blobs.SHAPE, np.uint8)
        for outline in body.outlines:
            labels[outline.mask(blobs.SHAPE)] = 1 + NAMES.index(outline.name)
        for kind, array in (("images", body.volume.voxels), ("labels", labels)):
            nib.Nifti1Image(array, body.volume.affine).to_filename(root / kind / f"case-{k}.nii.gz")
    (root / "names.json").write_text(json.dumps({str(k): name for k, name in enumerate(NAMES, 1)}))
    return root


@pytest.fixture
def at(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("URM_HOME", str(tmp_path / ".urm"))
    Path("params.yaml").write_text("cot: {cases_per_shard: 12, workers: 1, held_out: [0, 0.2]}\n")
    return tmp_path


def say(*words: object) -> str:
    told = CliRunner().invoke(app, ["data", *map(str, words)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return told.stdout


def test_a_folder_of_masks_becomes_checked_data_with_a_card(masks, at):
    source = f"folder={masks}"
    planned = say("build", "--source", source, "--out", "mine", "--dry-run")
    assert "in all: 24 cases" in planned
    assert not (at / "mine").exists()
    built = say("build", "--source", source, "--out", "mine")
    assert "train: " in built
    n = sum(len(shards.read_questions(at / "mine", split)) for split in ("train", "test"))
    assert n > 100
    assert f"{n} samples worked out again from the masks, 0 wrong" in say("check", "--source", source, "--out", "mine")
    assert "card.html" in say("card", "--source", source, "--out", "mine", "--results", "results")
    assert json.loads(Path("results/metrics.json").read_text())["splits"]["train"]["n"] > 100
    assert "every file is as it was written" in say("check", "--out", "mine")


def test_the_data_set_is_in_mlflow_once(masks, at):
    source = f"folder={masks}"
    say("build", "--source", source, "--out", "mine", "--cases", 12)
    for _ in range(2):
        say("card", "--source", source, "--out", "mine")
    with tracking._store() as client:
        experiment = client.get_experiment_by_name("data")
        assert experiment
        runs = client.search_runs([experiment.experiment_id])
    used = [given.dataset for run in runs if run.inputs for given in run.inputs.dataset_inputs]
    digest = card.digest(at / "mine")
    assert [(one.name, one.digest) for one in used if digest.startswith(one.digest)] == [("mine", digest[:36])]


def test_masks_that_changed_after_building_are_found(masks, at, tmp_path_factory):
    root = tmp_path_factory.mktemp("changed") / "set"
    shutil.copytree(masks, root)
    say("build", "--source", f"folder={root}", "--out", "mine")
    path = root / "labels/case-3.nii.gz"
    stored = nib.Nifti1Image.from_filename(path)
    nib.Nifti1Image(np.roll(np.asarray(stored.dataobj), 3, 0), stored.affine).to_filename(path)
    with pytest.raises(BadInput, match="not as the masks say"):
        say("check", "--source", f"folder={root}", "--out", "mine")


def test_a_damaged_case_is_named_with_its_file(masks, at, tmp_path_factory):
    root = tmp_path_factory.mktemp("damaged") / "set"
    shutil.copytree(masks, root)
    path = root / "labels/case-3.nii.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput) as told:
        say("build", "--source", f"folder={root}", "--out", "mine")
    assert told.value.where.startswith("folder, case case-3: labels/case-3.nii.gz")
    assert not (at / "mine" / shards.MANIFEST).exists()
    Path("params.yaml").write_text("cot: {cases_per_shard: 6, workers: 2}\n")  # told from another process too
    with pytest.raises(BadInput) as again:
        say("build", "--source", f"folder={root}", "--out", "mine")
    assert again.value.render() == told.value.render()


def test_other_names_or_masks_are_built_anew(masks, at, tmp_path_factory):
    root = tmp_path_factory.mktemp("anew") / "set"
    shutil.copytree(masks, root)
    source = f"folder={root}"
    say("build", "--source", source, "--out", "mine")
    names = root / "names.json"
    names.write_text(names.read_text().replace("spleen", "pancreas"))
    say("build", "--source", source, "--out", "mine")
    say("check", "--source", source, "--out", "mine")
    texts = {q.text for q in shards.read_questions(at / "mine", "train")}
    assert any("pancreas" in text for text in texts)
    assert not any("spleen" in text for text in texts)


def test_pictures_in_colour_become_data_with_a_card(at, tmp_path_factory):
    from PIL import Image

    root = tmp_path_factory.mktemp("colour")
    random = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for k in range(12):
        labels = np.zeros((64, 48), np.uint8)
        for value in (1, 2):
            y, x = random.integers(4, 40), random.integers(4, 30)
            labels[y : y + random.integers(8, 20), x : x + random.integers(8, 14)] = value
        picture = np.kron(random.integers(0, 200, (8, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(picture).save(root / "images" / f"{k}.png")
        Image.fromarray(labels).save(root / "labels" / f"{k}.png")
    (root / "names.json").write_text('{"1": "polyp", "2": "stomach"}')
    source = f"folder={root}"
    say("build", "--source", source, "--out", "mine")
    assert " 0 wrong" in say("check", "--source", source, "--out", "mine")
    say("card", "--source", source, "--out", "mine")
    assert "as it was written" in say("check", "--out", "mine")


def test_one_picture_in_two_splits_stops_the_build_and_is_named(masks, at, tmp_path_factory):
    root = tmp_path_factory.mktemp("twice") / "set"
    shutil.copytree(masks, root)
    for kind in ("images", "labels"):
        shutil.copy(root / kind / "case-3.nii.gz", root / kind / "case-99.nii.gz")
    lines = [f"case-{k}\tperson-{k}\ttrain" for k in range(24)] + ["case-99\tsomebody-else\ttest"]
    (root / "subjects.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match="nearly one picture") as told:
        say("build", "--source", f"folder={root}", "--out", "mine")
    assert "in test and" in told.value.where or "in train and" in told.value.where
    assert not (at / "mine" / shards.MANIFEST).exists()


def test_one_person_in_two_splits_stops_the_build_before_it_begins(masks, at, tmp_path_factory):
    root = tmp_path_factory.mktemp("person") / "set"
    shutil.copytree(masks, root)
    lines = [f"case-{k}\tperson-{k // 2}\t{'train' if k else 'test'}" for k in range(24)]
    (root / "subjects.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(BadInput, match="a person is in two splits"):
        say("build", "--source", f"folder={root}", "--out", "mine")
    assert not (at / "mine").exists()


@pytest.mark.parametrize("source", ["nosuch=/tmp", "folder=/nowhere"])
def test_a_source_that_can_not_be_is_told(at, source):
    with pytest.raises(BadInput) as told:
        say("build", "--source", source, "--dry-run")
    assert "found" in told.value.where
    assert "wanted" in told.value.where
