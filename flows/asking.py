"""An answer in hand: just asked, or one of the evaluation's looked up again."""

import json
from pathlib import Path

from components import settings
from components.evaluation import traces
from components.evaluation.config import EvaluateConfig
from components.serving.ask import ask
from components.serving.asked import Asked
from model.imaging.prepare import prepare
from model.imaging.read import read_volume
from model.imaging.shards import read_questions, read_studies
from model.interface.contract import Contract
from model.interface.errors import BadInput, Integrity
from model.interface.question import Question
from model.interface.trace import Trace


def ask_file(
    file: Path, question: str, options: tuple[str, ...], modality: str | None, radiological: bool, checkpoint: str
) -> Asked:
    """Ask the checkpoint of an alias, or in a folder, about a file."""
    read_volume(file, modality=modality, radiological=radiological)  # refuse a bad file before anything slow
    folder = folder_of(checkpoint)
    trace, prepared, asked = ask(folder, file, question, options, modality=modality, radiological=radiological)
    return Asked(asked, trace, prepared, Contract.load(folder))


def recall(which: str, image: Path | None, modality: str | None, radiological: bool, checkpoint: str) -> Asked:
    """An answer again, from a file `urm ask --json` wrote or by its question's id.

    Neither holds pixels: those come from `image`, or from the data set.
    """
    if Path(which).is_file():
        if image is None:
            raise BadInput("a trace holds no picture", where=which, next=f"urm trace show {which} --image FILE")
        return _from_file(Path(which), image, modality, radiological, folder_of(checkpoint))
    return _from_evaluation(which)


def folder_of(checkpoint: str) -> Path:
    """The folder of a checkpoint named by alias or by path."""
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    from components.registry import versions  # brings torch and MLflow: a bad file is refused before

    return versions.resolve(checkpoint)


def _from_file(file: Path, image: Path, modality: str | None, radiological: bool, folder: Path) -> Asked:
    try:
        row = json.loads(file.read_text())
        question, trace = Question.from_json(row["question"]), Trace.from_json(row["trace"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "this is no answer", where=f"{file.name}: wanted what `urm ask --json` wrote", next="ask again with --json"
        ) from error
    modality = modality or question.contrast or None
    volume = read_volume(image, modality=modality, radiological=radiological)
    if volume.digest != trace.study_digest:
        raise Integrity(
            "this is not the image that was asked about",
            where=f"{image.name}, voxels and orientation",
            next="give the same file again, with --radiological if it was asked so",
        )
    contract = Contract.load(folder)
    if contract.digest() != trace.versions.get("contract"):
        raise Integrity(
            "this checkpoint sees images otherwise than the one that was asked",
            where=f"{folder.name}, contract",
            next="name the checkpoint that was asked with --checkpoint",
        )
    return Asked(question, trace, prepare(volume, contract), contract)


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
