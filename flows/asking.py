"""An answer in hand: just asked, or one of the evaluation's looked up again."""

from dataclasses import replace
from pathlib import Path

from components import settings
from components.evaluation import traces
from components.evaluation.confidence_config import ConfidenceConfig
from components.evaluation.config import EvaluateConfig
from components.serving.ask import OVERRIDDEN, answered, overridden, question_about
from components.serving.asked import Asked
from components.serving.grounding import Grounding
from model.imaging.prepare import prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.read import read_volume
from model.imaging.shards import read_questions, read_studies
from model.interface.contract import Contract
from model.interface.errors import BadInput, Integrity
from model.interface.question import Question
from model.interface.strict_json import read_json
from model.interface.trace import Trace


def ask_file(
    file: Path,
    question: str,
    options: tuple[str, ...],
    declared: Declared,
    checkpoint: str,
    override: tuple[str, ...] = (),
) -> Asked:
    """Ask the checkpoint of an alias, or in a folder, about a file."""
    volume, asked = question_about(file, question, options, declared)
    folder = folder_of(checkpoint)
    trace, prepared, sure = answered(folder, volume, asked, override, calibration_file())
    return Asked(asked, trace, prepared, overridden(Contract.load(folder), override), file, declared, sure)


def calibration_file() -> Path:
    """Where stage `confidence` leaves what it learnt about the checkpoint trained last; it may not be there."""
    return settings.load("confidence", ConfidenceConfig).out / "calibration.json"


def recall(which: str, image: Path | None, declared: Declared, checkpoint: str) -> Asked:
    """An answer again, from a file `urm ask --json` wrote or by its question's id.

    Neither holds pixels: those come from `image`, or from the data set.
    """
    if Path(which).is_file():
        if image is None:
            raise BadInput("a trace holds no picture", where=which, next=f"urm trace show {which} --image FILE")
        return _from_file(Path(which), image, declared, folder_of(checkpoint))
    return _from_evaluation(which)


def folder_of(checkpoint: str) -> Path:
    """The folder of a checkpoint named by alias or by path."""
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    from components.registry import versions  # brings torch and MLflow: a bad file is refused before

    return versions.resolve(checkpoint)


def contract_of(checkpoint: str | None, override: tuple[str, ...]) -> Contract:
    """How a checkpoint sees images; the default where none is named."""
    return overridden(Contract() if checkpoint is None else Contract.load(folder_of(checkpoint)), override)


def _from_file(file: Path, image: Path, declared: Declared, folder: Path) -> Asked:
    row = read_json(file)
    try:
        question, trace = Question.from_json(row["question"]), Trace.from_json(row["trace"])
        versions = {str(name): str(told) for name, told in trace.versions.items()}
        sure = Grounding.from_json(row["grounding"]) if row.get("grounding") else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "this is no answer", where=f"{file.name}: wanted what `urm ask --json` wrote", next="ask again with --json"
        ) from error
    declared = replace(declared, modality=declared.modality or question.contrast or None)
    volume = read_volume(image, declared)
    contract = overridden(Contract.load(folder), versions.get(OVERRIDDEN, "").split())
    if contract.digest() != versions.get("contract"):
        raise Integrity(
            "this checkpoint sees images otherwise than the one that was asked",
            where=f"{folder.name}, contract",
            next="name the checkpoint that was asked with --checkpoint",
        )
    prepared = prepare(volume, contract)
    if prepared.volume.digest != trace.study_digest:
        raise Integrity(
            "this is not the image that was asked about",
            where=f"{image.name}, voxels and orientation",
            next="give the same file again, with the options it was asked with",
        )
    return Asked(question, trace, prepared, contract, image, declared, sure)


def _from_evaluation(question_id: str) -> Asked:
    config = settings.load("evaluate", EvaluateConfig)
    file = config.out / traces.FILE
    found = (
        [a for a in traces.read(file) if a.trace.question_id == question_id and not a.blank] if file.exists() else []
    )
    if not found:
        raise BadInput(
            f"no answer to a question '{question_id}'",
            where=str(file),
            next="urm evaluate, or look up ids in that file",
        )
    return recall_answered(found[-1], config)


def recall_answered(answer: traces.Answered, config: EvaluateConfig) -> Asked:
    """An answer of the evaluation, with its study."""
    contract = Contract.load(config.checkpoints[answer.checkpoint])
    question = next(q for q in read_questions(config.data, answer.split) if q.id == answer.trace.question_id)
    study = next(s for s in read_studies(config.data, answer.split) if s.id == question.study)
    return Asked(question, answer.trace, prepare(study.volume, contract), contract)
