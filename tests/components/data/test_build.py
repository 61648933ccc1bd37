import json
from collections import defaultdict

import pytest

from components.data import build, corpus
from components.data.config import DataConfig
from model.imaging import shards
from model.interface.errors import Integrity


def tiny(folder, workers):
    """Nothing of it is large enough to train on; all of it takes the same road."""
    return DataConfig(
        heads_train=5, heads_val=1, heads_test=2, slices_per_head=2, slices_per_test_head=1, slices_real=3,
        questions_train=(20, 10), questions_val=(4, 2), questions_test=(6, 4), questions_real=(6, 2), window_studies=2,
        grid=(48, 48, 32), window_grid=(48, 48, 32), workers=workers, out=folder / "data", results=folder / "results",
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build.run(tiny(folder, workers=2))
    return folder


def test_one_worker_and_two_write_the_same_bytes(built, tmp_path):
    build.run(tiny(tmp_path, workers=1))
    for name in ("data/manifest.json", "results/metrics.json", "results/card.png"):
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes()


def test_no_subject_and_no_head_is_in_two_splits(built):
    people, heads = defaultdict(set), defaultdict(set)
    for split in ("train", "val", "test", "real"):
        for study in shards.read_studies(built / "data", split):
            people[study.subject].add(split)
            heads[study.group].add(split)
    assert all(len(splits) == 1 for splits in (*people.values(), *heads.values()))
    assert {who for who, splits in people.items() if splits == {"train"}} == set(build.TRAIN)
    assert people["15496"] == {"val"} and people["15697"] == {"test"}


def test_windows_have_one_question_a_study_and_only_the_shifted_one_the_held_out_contrast(built):
    for window, wanted in build.WINDOWS.items():
        studies = {study.id: study for study in shards.read_studies(built / "data", window)}
        asked = [question.study for question in shards.read_questions(built / "data", window)]
        assert sorted(asked) == sorted(studies) and len(asked) == 2
        assert {study.contrast for study in studies.values()} <= set(wanted)
    seen = {study.contrast for split in ("train", "test") for study in shards.read_studies(built / "data", split)}
    assert build.WINDOWS["shifted"][0] not in seen


def test_every_question_has_its_study(built):
    for split in build.SPLITS:
        studies = {study.id: study for study in shards.read_studies(built / "data", split)}
        for question in shards.read_questions(built / "data", split):
            study = studies[question.study]
            assert (question.split, question.dimension) == (split, study.volume.dimension)
            assert all(b.box.within(study.volume.shape) == b.box for b in question.rationale if b.box)


def test_the_folder_verifies_until_somebody_touches_it(built):
    shards.verify(built / "data")
    file = built / "data" / "card.md"
    before = file.read_text()
    file.write_text(before + "!")
    with pytest.raises(Integrity) as told:
        shards.verify(built / "data")
    file.write_text(before)
    assert "card.md" in told.value.where


def test_the_metrics_count_what_is_in_the_shards(built):
    metrics = json.loads((built / "results/metrics.json").read_text())
    for split in build.SPLITS:
        asked = shards.read_questions(built / "data", split)
        assert sum(part["n"] for part in metrics["questions"][split].values()) == len(asked)
        assert metrics["studies"][split]["n"] == len(list(shards.read_studies(built / "data", split)))
    assert metrics["laterality"]["wrong"] == 0
    assert metrics["laterality"]["agree"] > 5
    assert set(metrics["landmark_residual_mm"]) == {*build.TRAIN, *build.VAL, *build.TEST}


def test_a_corpus_is_the_same_bytes_with_one_worker_and_two(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "WORDED", 1)
    for workers in (1, 2):
        corpus.build_corpus(tmp_path / str(workers), 4, 7, workers, closer=9)
    for name in ("images.npy", "labels.npy", "cores.npy", "studies.jsonl", "meta.json", "closer/manifest.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    asked = shards.read_questions(tmp_path / "1" / corpus.CLOSER, corpus.CLOSER_SPLIT)
    shown = {study.id for study in shards.read_studies(tmp_path / "1" / corpus.CLOSER, corpus.CLOSER_SPLIT)}
    assert asked and all(question.fine and question.study in shown for question in asked)
