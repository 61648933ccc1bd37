import json
from pathlib import Path

import pytest

from components.evaluation.config import EvaluateConfig
from components.registry.gate import Check, Verdict
from flows import artifacts, record
from flows.record import Candidate
from model.interface.errors import Failure
from model.interface.writing import write_text

LOCK = """
schema: '2.0'
stages:
  rl: {cmd: x, outs: [{path: checkpoints/rl, md5: aaa.dir}]}
  evaluate: {cmd: x, outs: [{path: results/evaluate/metrics.json, md5: bbb}, {path: results/evaluate/table.md, md5: c}]}
"""
REFUSED = Verdict((Check("3d valid_format", False, "0.5, at least 0.98"), Check("2d valid_format", True, "1.0")))
PASSED = Verdict((Check("2d valid_format", True, "1.0"),))


def test_md5s_are_read_by_path(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    assert record.outs(tmp_path / "dvc.lock")["checkpoints/rl"] == "aaa.dir"
    with pytest.raises(Failure, match="nothing has been made yet"):
        record.outs(tmp_path / "absent")


def test_the_checkpoint_trained_last_is_the_candidate() -> None:
    assert record.candidate_name(EvaluateConfig()) == "rl"


def test_an_audit_of_another_checkpoint_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert record.read_audit("abc") is None
    write_text(tmp_path / "results/audit/metrics.json", json.dumps({"digests": {"checkpoint": "abc"}, "2d": {}}))
    assert record.read_audit("other") is None
    assert record.read_audit("abc") == {"digests": {"checkpoint": "abc"}, "2d": {}}


def test_a_refused_candidate_is_not_promoted() -> None:
    assert record.promote_if_passed(Candidate("run", 4, 3, REFUSED)) is None


def test_what_became_of_the_candidate_is_one_sentence() -> None:
    told = artifacts.promotion_line(Candidate("run", 4, 3, REFUSED), None)
    assert told == "Version 4 was refused: 3d valid_format: 0.5, at least 0.98."
    change = record.Change(4, 3)
    assert "is champion, version 3 is what a roll-back leads to" in artifacts.promotion_line(
        Candidate("run", 4, 3, PASSED), change
    )
    assert "already is champion" in artifacts.promotion_line(Candidate("run", 4, 4, PASSED), change)


def test_numbers_of_more_stages_are_another_run() -> None:
    assert record.digest(["a"]) == "a"
    assert record.digest(["a", "b"]) not in (record.digest(["a", "c"]), "a", "b")
