"""Runs out of an evaluation: each checkpoint that stage `evaluate` asked, read back from the traces it kept."""

import json
from pathlib import Path

from components.compare.runs import Run, row_of
from components.evaluation import traces
from components.evaluation.config import EvaluateConfig
from components.evaluation.metrics import score
from model.imaging import shards
from model.imaging.frame import frame_of
from model.imaging.prepare import covered_by
from model.interface.contract import Contract
from model.interface.errors import BadInput

SPLIT = "test"


def load(name: str, config: EvaluateConfig) -> Run:
    """The answers of a checkpoint to the test questions, as one seed.

    Raises BadInput where they are not at hand, or are not those to the questions of this data: a question's name says
    where it is asked, not what.
    """
    file, numbers, folder = config.out / traces.FILE, config.out / "metrics.json", config.checkpoints[name]
    for needed in (file, numbers, folder / "contract.json", config.data / shards.MANIFEST):
        if not needed.is_file():
            where = f"{needed}: found no file, wanted what stage evaluate reads and writes"
            raise BadInput(f"the answers of {name} are not at hand", where=where, next="urm evaluate")
    digest, found = shards.digest(config.data), json.loads(numbers.read_text())["digests"]["data"]
    if found != digest:
        where = f"{numbers}, digests.data: found {found[:12]}, wanted {digest[:12]} of {config.data}"
        raise BadInput(f"the answers of {name} are of other data", where=where, next="urm evaluate")
    given = {
        answer.trace.question_id: answer.trace
        for answer in traces.read(file)
        if (answer.checkpoint, answer.split, answer.blank) == (name, SPLIT, False)
    }
    questions = shards.read_questions(config.data, SPLIT)
    if missing := [question.id for question in questions if question.id not in given]:
        where = f"{file}: found no answer of {name} to {missing[0]}, wanted one to all {len(questions)} of {SPLIT}"
        raise BadInput(f"{name} did not answer all questions", where=where, next="urm evaluate")
    contract = Contract.load(folder)
    studies = {study.id: study for study in shards.read_studies(config.data, SPLIT)}
    rows = {}
    for question in questions:
        study, trace = studies[question.study], given[question.id]
        frame = frame_of(study.volume, contract, covered_by(study.volume, contract))
        rows[question.id] = row_of(score(question, frame, trace, study.group), trace, question, frame)
    digests = {"data": digest, "checkpoint": next(iter(given.values())).versions.get("checkpoint", "")}
    return Run(name, f"{name}, as evaluated", {0: rows}, {0: {"digests": digests}}, differing(contract))


def differing(contract: Contract, base: Path = Path("checkpoints/base")) -> dict:
    """What a contract has otherwise than the base's; all of it where there is no base."""
    if not (base / "contract.json").is_file():
        return contract.model_dump(mode="json")
    told, common = contract.model_dump(mode="json"), Contract.load(base).model_dump(mode="json")
    return {name: value for name, value in told.items() if value != common[name]}
