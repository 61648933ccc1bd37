import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model.imaging import shards
from model.imaging.shards import Study
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.question import Question, Remark

AFFINE = np.array([[1.625, 0, 0, -103.2], [0, 1.5, 0.1, -90], [0, 0, 2.5, 7], [0, 0, 0, 1]])


def study(voxels: np.ndarray, k: int = 0) -> Study:
    modality = "CT" if voxels.dtype == np.int16 else "MR"
    volume = Volume(voxels, AFFINE, modality, True, "axial", ("spacing was assumed",), spacing_known=False)
    return Study(f"s{k}", "9861", "train", "T1", volume, f"h{k // 2}", "CC BY 4.0", "painted")


def question(k: int = 0) -> Question:
    said = (Remark("The left thalamus is at", Box.of((1, 2, 3, 4, 5.5, 6)), "left thalamus", "own"), Remark("So."))
    regions = (Box.of((0, 0, 0, 1, 1, 1)),)
    return Question(f"q{k}", "s0", "9861", "train", 3, "size comparison", "{0}?", ("a", "b"), 1, regions, "T1", said)


def sealed(folder, n=3):
    shards.write_studies(folder, "train", (study(np.full((3, 4, 5), k, np.uint8), k) for k in range(n)))
    shards.write_questions(folder, "train", [question(k) for k in range(n)])
    shards.seal(folder)


@settings(deadline=None, max_examples=40)
@given(
    voxels=st.sampled_from([np.uint8, np.int16, np.float32])
    .flatmap(lambda kind: arrays.arrays(kind, st.tuples(*[st.integers(1, 5)] * 2, st.just(2))))
    .filter(lambda v: 1 not in v.shape),
    layout=st.sampled_from("CF"),
)
def test_a_study_comes_back_bit_by_bit(tmp_path_factory, voxels, layout):
    folder = tmp_path_factory.mktemp("shards")
    written = study(np.asarray(voxels, order=layout))
    shards.write_studies(folder, "train", [written])
    (read,) = shards.read_studies(folder, "train")
    assert read.volume.digest == written.volume.digest
    assert read.volume.voxels.dtype == voxels.dtype
    for name in ("modality", "frame_known", "plane", "warnings", "spacing_known"):
        assert getattr(read.volume, name) == getattr(written.volume, name)
    for name in ("id", "subject", "split", "contrast", "group", "licence", "provenance"):
        assert getattr(read, name) == getattr(written, name)


def test_studies_are_listed_and_picked_by_their_place_in_the_split(tmp_path, monkeypatch):
    """Over parts and row groups; a group that holds none of them isn't opened."""
    monkeypatch.setattr(shards, "ROW_GROUP", 3)
    written = [study(np.full((3, 4, 1 + k % 2), k, np.uint8), k) for k in range(11)]
    shards.write_studies(tmp_path, shards.part_of("train", 0), written[:7])
    shards.write_studies(tmp_path, shards.part_of("train", 1), written[7:])
    assert shards.list_studies(tmp_path, "train") == [(f"s{k}", 2 + k % 2) for k in range(11)]
    assert [s.volume.dimension for s in shards.read_studies(tmp_path, "train")] == [2 + k % 2 for k in range(11)]
    read, opened = shards.pq.ParquetFile.iter_batches, []
    monkeypatch.setattr(
        shards.pq.ParquetFile, "iter_batches", lambda *told, **how: (opened.append(how), read(*told, **how))[1]
    )
    picked = shards.pick_studies(tmp_path, "train", [8, 0, 2, 10])
    assert {place: (s.id, s.volume.digest) for place, s in picked.items()} == {
        place: (f"s{place}", written[place].volume.digest) for place in (0, 2, 8, 10)
    }
    assert [how["row_groups"] for how in opened] == [[0], [0], [1]]


def test_questions_come_back_as_they_were(tmp_path):
    asked = [question(k) for k in range(3)]
    shards.write_questions(tmp_path, "train", asked)
    assert shards.read_questions(tmp_path, "train") == asked


def test_studies_are_written_and_read_a_row_group_at_a_time(tmp_path):
    made = []

    def stream():
        for k in range(2 * shards.ROW_GROUP + 1):
            made.append(k)
            yield study(np.zeros((2, 2, 2), np.uint8), k)

    shards.write_studies(tmp_path, "train", stream())
    reading = shards.read_studies(tmp_path, "train")
    assert [next(reading).id, *(s.id for s in reading)] == [f"s{k}" for k in made]
    assert shards.pq.ParquetFile(shards.studies_file(tmp_path, "train")).num_row_groups == 3


def test_the_same_studies_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        sealed(tmp_path / name)
    one, two = ((tmp_path / name / shards.MANIFEST).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_sealed_folder_verifies(tmp_path):
    sealed(tmp_path)
    shards.verify(tmp_path)


def test_a_split_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput) as told:
        shards.read_questions(tmp_path, "validation")
    assert "validation-questions.parquet" in told.value.where


def test_a_write_that_fails_leaves_the_file_that_was_there(tmp_path):
    sealed(tmp_path)

    def broken():
        yield study(np.zeros((2, 2, 2), np.uint8))
        raise RuntimeError("the painter fell ill")

    with pytest.raises(RuntimeError, match="fell ill"):
        shards.write_studies(tmp_path, "train", broken())
    shards.verify(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_a_type_that_is_not_stored_is_refused(tmp_path):
    with pytest.raises(ValueError, match="float64, known: uint8, int16, float32"):
        shards.write_studies(tmp_path, "train", [study(np.zeros((2, 2, 2)))])
