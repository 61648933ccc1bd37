"""Sealed shards: what goes in comes out, the same rows are the same bytes, and a changed byte is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model.imaging import shards
from model.imaging.shards import Study
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.errors import BadInput, Integrity
from model.interface.question import FAMILIES, Question, Remark
from tests.model.imaging import phantom

ARRAYS = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.float32]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=5),
    elements=st.integers(0, 200),
)
TEXT = st.text("abc {}0é", max_size=12)
BOXES = st.builds(
    lambda low, size: Box(low, (low[0] + size[0], low[1] + size[1], low[2] + size[2])),
    st.tuples(*[st.integers(0, 9)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
)
REMARKS = st.builds(Remark, TEXT, st.none() | BOXES, TEXT, st.sampled_from(["own", "propagated", "lesion", ""]))
QUESTIONS = st.builds(
    Question,
    id=TEXT,
    study=TEXT,
    subject=TEXT,
    split=st.just("train"),
    dimension=st.sampled_from([2, 3]),
    family=st.sampled_from(FAMILIES),
    text=TEXT,
    options=st.lists(TEXT, min_size=2, max_size=4).map(tuple),
    answer=st.none() | st.integers(0, 1),
    regions=st.lists(BOXES, max_size=3).map(tuple),
    rationale=st.lists(REMARKS, max_size=3).map(tuple),
    laterality=st.booleans(),
)


def study(name: str = "s", voxels: np.ndarray | None = None) -> Study:
    volume = phantom.head() if voxels is None else Volume(voxels, phantom.AFFINE, "MR", True, "axial", ("assumed",))
    return Study(name, "p", "train", "T1", volume, "head", "CC-BY-4.0", "phantom")


def sealed(folder: Path) -> Path:
    shards.write_studies(folder, "train", [study("a"), study("b")])
    shards.write_questions(folder, "train", [])
    shards.seal(folder)
    return folder


@settings(deadline=None, max_examples=40)
@given(st.lists(ARRAYS, max_size=3))
def test_studies_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, arrays: list[np.ndarray]) -> None:
    folder = tmp_path_factory.mktemp("shards")
    written = [study(str(i), array) for i, array in enumerate(arrays)]
    shards.write_studies(folder, "train", written)
    for before, after in zip(written, shards.read_studies(folder, "train"), strict=True):
        assert after.volume.digest == before.volume.digest
        assert replace(after, volume=before.volume).__dict__ == before.__dict__
        assert after.volume.warnings == ("assumed",)


@settings(deadline=None, max_examples=40)
@given(st.lists(QUESTIONS, max_size=4))
def test_questions_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, questions: list[Question]) -> None:
    folder = tmp_path_factory.mktemp("shards")
    shards.write_questions(folder, "train", questions)
    assert shards.read_questions(folder, "train") == questions


def test_a_slice_stays_a_slice(tmp_path: Path) -> None:
    cut = phantom.slice_of(phantom.head(), "coronal", 7)
    shards.write_studies(tmp_path, "val", [replace(study(), volume=cut)])
    (read,) = shards.read_studies(tmp_path, "val")
    assert (read.volume.dimension, read.volume.plane) == (2, "coronal")
    np.testing.assert_array_equal(read.volume.affine, cut.affine)


def test_order_survives_many_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 2 * phantom.voxels().nbytes)
    names = [f"s{i}" for i in range(7)]
    shards.write_studies(tmp_path, "train", map(study, names))
    assert len(list((tmp_path / "train").iterdir())) == 4
    assert [read.id for read in shards.read_studies(tmp_path, "train")] == names


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    assert shards.verify(sealed(tmp_path / "a")) == shards.verify(sealed(tmp_path / "b"))


@pytest.mark.parametrize("name", ["train/studies-00000.parquet", "train/questions.parquet"])
def test_a_changed_byte_is_named(tmp_path: Path, name: str) -> None:
    folder = sealed(tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(Integrity) as caught:
        shards.verify(folder)
    assert name in caught.value.where


def test_a_missing_or_added_file_is_named(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    (folder / "train/studies-00001.parquet").write_bytes(b"")
    with pytest.raises(Integrity, match="manifest") as caught:
        shards.verify(folder)
    assert "studies-00001" in caught.value.where
    (folder / "train/studies-00001.parquet").unlink()
    (folder / "train/questions.parquet").unlink()
    with pytest.raises(Integrity) as caught:
        shards.verify(folder)
    assert "train/questions.parquet, SHA-256, found no file" in caught.value.where


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_a_broken_manifest_is_told(tmp_path: Path, content: str) -> None:
    (sealed(tmp_path) / shards.MANIFEST).write_text(content)
    with pytest.raises(Integrity) as caught:
        shards.verify(tmp_path)
    assert shards.MANIFEST in caught.value.where


def test_nothing_sealed_and_unknown_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no sealed data"):
        shards.verify(tmp_path)
    sealed(tmp_path)
    with pytest.raises(BadInput) as caught:
        shards.read_questions(tmp_path, "trian")
    assert "known: train" in caught.value.where
    with pytest.raises(BadInput):
        next(shards.read_studies(tmp_path, "trian"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("old")
    with pytest.raises(KeyboardInterrupt), shards.published(tmp_path / "kept") as part:
        part.write_text("half of the ne")
        raise KeyboardInterrupt
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"kept": "old"}
