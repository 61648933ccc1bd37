"""Every case in one shard, nobody in two splits, one key for all."""

from dataclasses import replace

import pytest

from components.data.cot.plan import SPLITS, plan, split_of
from components.data.cot.studies import digest_of
from tests.components.data.cot import blobs
from tests.components.data.cot.conftest import config_of


def test_nobody_is_in_two_splits_and_the_shares_are_as_told(blob_source, tmp_path):
    config = config_of(tmp_path, cases=400)
    by_person: dict[str, set[str]] = {}
    for case in blobs.cases():
        by_person.setdefault(case.subject, set()).add(split_of(case, config))
    assert all(len(splits) == 1 for splits in by_person.values())
    share = [sum(s == {name} for s in by_person.values()) / len(by_person) for name in SPLITS]
    assert share == pytest.approx([0.85, 0.05, 0.1], abs=0.05)


def test_every_case_is_planned_once_and_shards_are_alike_in_size(blob_source, tmp_path):
    config = config_of(tmp_path, cases=400)
    made = plan(config)
    planned = [case.study for shard in made for case in shard.cases]
    assert sorted(planned) == sorted(case.study for case in blobs.cases())
    assert len({shard.name for shard in made}) == len(made)
    sizes = [len(shard.cases) for shard in made if shard.split == "train"]
    assert max(sizes) - min(sizes) <= 1


def test_names_are_digested_with_a_key_that_the_first_case_s_files_give(blob_source, tmp_path, monkeypatch):
    files = [tmp_path / "image", tmp_path / "labels"]
    for path in files:
        path.write_bytes(b"of a hospital")
    config = config_of(tmp_path / "out", cases=8)
    first, *rest = list(blobs.cases())[:8]
    monkeypatch.setattr(blobs, "cases", lambda root: iter([replace(first, files=tuple(files)), *rest]))
    before = [digest_of(case) for shard in plan(config) for case in shard.cases]
    assert before == [digest_of(case) for shard in plan(config) for case in shard.cases]
    files[1].write_bytes(b"of a hospital, corrected")
    after = [digest_of(case) for shard in plan(config) for case in shard.cases]
    assert len({*before, *after}) == 16


@pytest.mark.parametrize("odd", [{"questions": (float("nan"), 5)}, {"questions": (-1, 5)}, {"held_out": (0.9, 0.9)}])
def test_settings_that_mean_nothing_are_refused(tmp_path, odd):
    with pytest.raises(ValueError, match="validation error"):
        config_of(tmp_path, cases=1, **odd)
