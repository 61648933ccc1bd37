"""Runs out of an evaluation: each checkpoint that stage `evaluate` asked, read back from the traces it kept."""

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
    """The answers of a checkpoint to the test questions, as one seed. Raises BadInput where they are not at hand."""
    file, folder = config.out / traces.FILE, config.checkpoints[name]
    for needed in (file, folder / "contract.json", config.data / shards.MANIFEST):
        if not needed.is_file():
            where = f"{needed}: found no file, wanted what stage evaluate reads and writes"
            raise BadInput(f"the answers of {name} are not at hand", where=where, next="urm evaluate")
    given = {
        answer.trace.question_id: answer.trace
        for answer in traces.read(file)
        if (answer.checkpoint, answer.split, answer.blank) == (name, SPLIT, False)
    }
    contract = Contract.load(folder)
    studies = {study.id: study for study in shards.read_studies(config.data, SPLIT)}
    rows = {}
    for question in shards.read_questions(config.data, SPLIT):
        if question.id in given:
            study, trace = studies[question.study], given[question.id]
            frame = frame_of(study.volume, contract, covered_by(study.volume, contract))
            rows[question.id] = row_of(score(question, frame, trace, study.group), trace, question, frame)
    if not rows:
        where = f"{file}: found no answer of {name!r} to the questions of {config.data}"
        raise BadInput(f"the answers of {name} are of other data", where=where, next="urm evaluate")
    digest = shards.digest(config.data)
    version = next(iter(given.values())).versions.get("checkpoint", "")
    return Run(name, f"{name}, as evaluated", {0: rows}, {"data": digest, "checkpoint": version}, differing(contract))


def differing(contract: Contract, base: Path = Path("checkpoints/base")) -> dict:
    """What a contract has otherwise than the base's; all of it where there is no base."""
    if not (base / "contract.json").is_file():
        return contract.model_dump(mode="json")
    told, common = contract.model_dump(mode="json"), Contract.load(base).model_dump(mode="json")
    return {name: value for name, value in told.items() if value != common[name]}
