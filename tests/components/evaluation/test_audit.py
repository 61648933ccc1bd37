import json
from dataclasses import replace

import numpy as np
import pytest

from components.evaluation.audit import AS_ASKED, COSTS, conditions, drawn, judged, run, seeing, table
from components.evaluation.config import AuditConfig
from components.evaluation.run import Exam, read_exam
from model.imaging.prepare import prepare
from model.interface.question import Question
from model.vlm import checkpoint as folders
from model.vlm.engine import roll_out
from model.vlm.sampling import Sampling, dictated
from tests.components import world
from tests.components.evaluation.made import question
from tests.components.evaluation.test_interventions import BLOB, CONTRACT, volume


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> AuditConfig:
    root = tmp_path_factory.mktemp("audit")
    return AuditConfig(
        data=world.data(root / "data", heads=4),
        checkpoint=world.checkpoint(root / "rl"),
        questions=(3, 4),
        draws=100,
        max_tokens=16,
        threads=1,
        out=root / "out",
    )


def test_the_same_audit_is_the_same_bytes_and_every_number_has_its_n(small: AuditConfig) -> None:
    tree = run(small)
    first = {path.name: path.read_bytes() for path in small.out.iterdir()}
    run(small)
    assert {path.name: path.read_bytes() for path in small.out.iterdir()} == first
    assert set(first) == {"metrics.json", "table.md"}
    assert json.loads(first["metrics.json"]) == tree
    assert tree["2d"]["accuracy"][AS_ASKED]["n"] == 3
    assert tree["3d"]["accuracy"]["blank"]["n"] == 4
    for score in COSTS:
        assert {"value", "low", "high", "p", "n", "seeds"} == set(tree["3d"][score])
    assert tree["3d"]["evidence"]["n"] == 4
    assert tree["3d"]["mirror_follows"]["value"] is None  # nothing here speaks of sides


def test_head_by_head_is_drawn(small: AuditConfig) -> None:
    exam = read_exam(small.data, "test", folders.load(small.checkpoint))
    some = drawn(exam, (2, 2), seed=1)
    assert [q.dimension for q in some.questions].count(2) == 2
    assert len(set(some.groups)) == 2
    other = drawn(exam, (2, 2), seed=3)
    assert {q.id for q in other.questions} != {q.id for q in some.questions}


def exam_of(n: int) -> Exam:
    studies = [prepare(volume(seed=k), CONTRACT) for k in range(n)]
    sided = question(text="On which side is it?", options=("left", "right"), answer=0)
    return Exam([sided] * n, studies, [f"head{k}" for k in range(n)])


def said(exam: Exam, letters: dict[str, str]) -> dict[str, list[tuple[Question, str] | None]]:
    """The same letter to every question of a condition."""
    asked = conditions(exam, 0)
    return {name: [one and (one[1], letters.get(name, "A")) for one in some] for name, (some, _) in asked.items()}


def test_a_model_that_looks_loses_what_is_taken_away_and_follows_the_mirror() -> None:
    exam = exam_of(10)
    looks = said(exam, dict.fromkeys(("blank", "shuffled", "text only", "mirrored"), "B"))
    tree = judged(exam, looks, 3, AuditConfig(draws=200))
    assert tree["image"]["value"] == tree["image_shuffled"]["value"] == tree["image_text"]["value"] == 1
    assert tree["image"]["low"] == 1
    assert (tree["mirror_follows"]["value"], tree["mirror_stays"]["value"]) == (1, 0)
    assert tree["crops"]["value"] == 0


def test_a_model_that_does_not_look_loses_nothing_but_the_order() -> None:
    """It always says A, whatever stands there."""
    exam = exam_of(6)
    tree = judged(exam, said(exam, {}), 3, AuditConfig(draws=200))
    assert [tree[score]["value"] for score in ("image", "image_shuffled", "image_text", "crops", "place")] == [0] * 5
    assert tree["mirror_stays"]["value"] == 1
    assert tree["options_same"]["value"] == 0


def test_evidence_counts_only_what_a_mask_elsewhere_does_not_cost() -> None:
    exam = exam_of(4)
    exam = Exam([question(BLOB, options=("left", "right"), answer=0)] * 4, exam.prepared, exam.groups)
    tree = judged(exam, said(exam, {"evidence masked": "B", "masked elsewhere": "B"}), 3, AuditConfig(draws=200))
    assert (tree["evidence"]["value"], tree["evidence"]["n"]) == (0, 4)
    tree = judged(exam, said(exam, {"evidence masked": "B"}), 3, AuditConfig(draws=200))
    assert tree["evidence"]["value"] == 1


def test_a_cost_is_of_the_questions_that_both_conditions_were_asked() -> None:
    """What was asked as it is and not on a blank picture is no part of what the picture is worth."""
    exam = exam_of(10)
    answers = said(exam, {"blank": "B"})
    answers["blank"][:4] = [None] * 4
    tree = judged(exam, answers, 3, AuditConfig(draws=200))
    assert (tree["image"]["value"], tree["image"]["n"]) == (1, 6)
    assert tree["accuracy"]["blank"]["n"] == 6
    answers = said(exam, {"blank": "B"})
    answers[AS_ASKED][:4] = [None] * 4
    assert judged(exam, answers, 3, AuditConfig(draws=200))["image"]["n"] == 6


def test_the_table_tells_the_third_place() -> None:
    """A cost of .2455 is not one of .25."""
    exam = exam_of(10)
    tree = {"3d": judged(exam, said(exam, {}), 3, AuditConfig(draws=200))}
    tree["3d"]["image"] |= {"value": 0.2455, "low": 0.1534, "high": 0.338}
    line = next(line for line in table(tree).splitlines() if "a blank picture costs" in line)
    assert "0.245 [0.153, 0.338], n 10" in line or "0.246 [0.153, 0.338], n 10" in line


def test_crops_are_taken_away_by_the_contract_alone(small: AuditConfig) -> None:
    checkpoint = folders.load(small.checkpoint)
    blind = seeing(checkpoint, {"crop_slices": 0})
    study = prepare(volume(), blind.contract)
    assert np.array_equal(study.slices, prepare(volume(), checkpoint.contract).slices)
    ids = checkpoint.vocabulary.own("<think>at <|box_start|>[3,4,0,20,17,2]<|box_end|></think>A. Yes<|im_end|>")
    for seen, crops in ((checkpoint, 2), (blind, 0)):
        asked = [(replace(study, contract=seen.contract.digest()), question())]
        (rollout,) = roll_out(seen, asked, Sampling(), choose=dictated([ids]))
        assert rollout.steps[0].box is not None
        assert (rollout.steps[0].crops, len(rollout.features)) == (crops, crops)
