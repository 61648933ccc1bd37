"""Shards: the same bytes on any number of workers, and after being killed; nobody in two splits."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from components.data.cot.build import run
from components.data.cot.plan import SPLITS, plan
from components.data.cot.receipts import RECEIPTS
from model.imaging import shards
from model.interface.errors import BadInput, Conflict, Integrity
from tests.components.data.cot import blobs
from tests.components.data.cot.conftest import config_of


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_workers_do_not_change_a_byte(blob_source, tmp_path):
    for n in (1, 3):
        run(config_of(tmp_path / str(n), cases=24, cases_per_shard=8, workers=n))
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "3")


KILLED = """
import sys
from pathlib import Path
from components.data.cot import build
from components.data.sources import registry
from tests.components.data.cot import blobs
from tests.components.data.cot.conftest import config_of
registry.adapter = lambda name: blobs
if __name__ == "__main__":
    config = config_of(Path(sys.argv[1]), cases=60, cases_per_shard=10, workers=1)
    build.run(config, lambda done, of, _: print(done, of, flush=True))
"""


def test_a_killed_build_goes_on_to_the_same_bytes(blob_source, tmp_path):
    out = tmp_path / "killed"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(out)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline().split()[0] == "1"
        time.sleep(0.15)  # somewhere inside a later shard
        os.kill(child.pid, signal.SIGKILL)
    assert not (out / shards.MANIFEST).exists(), "a stopped build is no data set"
    made = len(list((out / RECEIPTS).glob("*.json")))
    config = config_of(out, cases=60, cases_per_shard=10, workers=1)
    assert 1 <= made < len(plan(config))
    told: list[int] = []
    run(config, lambda done, of, _: told.append(done))
    assert told == list(range(made + 1, len(plan(config)) + 1)), "what was made is not made again"
    run(config_of(tmp_path / "whole", cases=60, cases_per_shard=10, workers=1))
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_finished_build_does_nothing_and_a_damaged_shard_is_made_again(blob_source, tmp_path):
    config = config_of(tmp_path / "data", cases=24, cases_per_shard=8, workers=1)
    run(config)
    before = bytes_of(config.out)
    told: list[int] = []
    run(config, lambda done, of, _: told.append(done))
    assert not told
    file = next(config.out.glob("*-studies.parquet"))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(Integrity):
        shards.verify(config.out)
    run(config, lambda done, of, _: told.append(done))
    assert len(told) == 1
    assert bytes_of(config.out) == before


def test_another_plan_leaves_nothing_of_the_first(blob_source, tmp_path):
    run(config_of(tmp_path / "data", cases=40, cases_per_shard=8, workers=1))
    config = config_of(tmp_path / "data", cases=16, cases_per_shard=8, workers=1)
    run(config)
    run(config_of(tmp_path / "other", cases=16, cases_per_shard=8, workers=1))
    assert bytes_of(config.out) == bytes_of(tmp_path / "other")


def test_nothing_to_build_from_is_told(blob_source, tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "cases", lambda root: iter(()))
    with pytest.raises(BadInput, match="nothing to build from"):
        run(config_of(tmp_path, cases=1))


def test_names_of_files_and_people_are_not_in_the_data(built):
    raw = b"".join(path.read_bytes() for path in built.out.glob("*-questions.parquet"))
    text = "".join(json.dumps(q.to_json()) for split in SPLITS for q in shards.read_questions(built.out, split))
    assert "person-" not in text
    assert "case-" not in text
    assert b"person-" not in raw


def test_what_is_not_ours_is_never_touched(blob_source, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("precious.parquet", "card.docx", "train-1-studies.parquet"):
        (mine / name).write_text("x")
    before = bytes_of(mine)
    with pytest.raises(BadInput, match="isn't the place of a build"):
        run(config_of(mine, cases=8, cases_per_shard=8))
    assert bytes_of(mine) == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="isn't the place of a build"):
        run(config_of(tmp_path / "file", cases=8, cases_per_shard=8))
    with pytest.raises(BadInput, match="nothing can be written here"):
        run(config_of(tmp_path / "file/data", cases=8, cases_per_shard=8))
    out = tmp_path / "data"
    run(config_of(out, cases=8, cases_per_shard=8, workers=1))
    for name in ("precious.parquet", "card.docx"):
        (out / name).write_text("x")
    run(config_of(out, cases=16, cases_per_shard=4, workers=1))
    assert (out / "precious.parquet").read_text() == (out / "card.docx").read_text() == "x"


def test_a_mirrored_set_stops_the_build_early_and_is_named(blob_source, tmp_path, monkeypatch):
    cases = list(blobs.cases())[:60]
    wrong = [replace(case, open=partial(blobs.mirrored, k)) for k, case in enumerate(cases)]
    monkeypatch.setattr(blobs, "cases", lambda root: iter(wrong))
    config = config_of(tmp_path / "data", cases=60, cases_per_shard=6, workers=1)
    with pytest.raises(BadInput, match="the wrong way round") as told:
        run(config)
    assert "blobs: found " in told.value.where
    assert "case-" in told.value.where
    assert len(list((config.out / RECEIPTS).glob("*"))) < len(plan(config)) / 2
    assert not (config.out / shards.MANIFEST).exists()


def test_two_builds_in_one_folder_are_not_one(blob_source, tmp_path):
    config = config_of(tmp_path / "data", cases=16, cases_per_shard=8, workers=1)
    run(config)
    before = bytes_of(config.out)
    with FileLock(config.out / RECEIPTS / "lock"), pytest.raises(Conflict, match="another build is at work"):
        run(config)
    assert bytes_of(config.out) == before
    run(config)


def test_a_case_twice_is_refused(blob_source, tmp_path):
    config = config_of(tmp_path / "data", cases=8)
    with pytest.raises(BadInput, match="one case twice"):
        run(config.model_copy(update={"sources": config.sources * 2}))
