"""One question about one file: read, prepare, answer. What `urm ask` does, without printing.

Nothing is written. The file's name goes into no result: the study is known by the digest of its voxels.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase

from pydantic import ValidationError

from components.serving.grounding import Grounding, answers, read_calibration
from model.imaging.prepare import Prepared, prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.read import read_volume
from model.imaging.volume import Volume
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.laterality import speaks_of_sides
from model.interface.question import Question
from model.interface.trace import Trace

OVERRIDDEN = "overridden"
"""Key of a trace's versions: what was changed of the contract, by name."""
LONGEST = 2000
"""Characters of a question with its options."""


def ask(
    checkpoint_folder: Path,
    file: Path,
    question: str,
    options: tuple[str, ...] = (),
    declared: Declared | None = None,
    override: tuple[str, ...] = (),
    calibration: Path | None = None,
) -> tuple[Trace, Prepared, Question, Grounding]:
    """Ask a checkpoint about a file; greedy decoding. Raises BadInput (file, words) or Integrity (checkpoint).

    declared: what the file doesn't say; override: see `Contract.overridden`, without spaces, told in the trace;
    calibration: file of a `Calibration`, if there is one.
    """
    volume, asked = question_about(file, question, options, declared)
    trace, prepared, grounding = answered(checkpoint_folder, volume, asked, override, calibration)
    return trace, prepared, asked, grounding


def question_about(
    file: Path, question: str, options: tuple[str, ...], declared: Declared | None
) -> tuple[Volume, Question]:
    """The first half of `ask`: within a second of a bad file or question, nothing slow is loaded before."""
    volume, [asked] = questions_about(file, [(question, options)], declared)
    return volume, asked


def questions_about(
    file: Path, asked: Sequence[tuple[str, tuple[str, ...]]], declared: Declared | None
) -> tuple[Volume, list[Question]]:
    """A file and what is asked about it: (text, options) each. Raises BadInput (file, words)."""
    words = [_checked(text, options) for text, options in asked]
    volume = read_volume(file, declared)
    questions = [_question(volume, *some) for some in words]
    if any(question.laterality for question in questions) and not volume.frame_known:
        raise BadInput(
            "left and right are not known in this file, so this can't be asked",
            where=f"{file.name}, orientation: found none, wanted the patient's left and right",
            next="add --radiological if column 0 is the patient's right, or say 'left side of the image'",
        )
    return volume, questions


def answered(
    checkpoint_folder: Path,
    volume: Volume,
    asked: Question,
    override: tuple[str, ...] = (),
    calibration: Path | None = None,
) -> tuple[Trace, Prepared, Grounding]:
    """The second half of `ask`."""
    from model.vlm import checkpoint as checkpoints
    from model.vlm.engine import Engine
    from model.vlm.features import Features

    calibrated = read_calibration(calibration)
    checkpoint = checkpoints.load(checkpoint_folder)
    checkpoint = replace(checkpoint, contract=overridden(checkpoint.contract, override))
    prepared = prepare(volume, checkpoint.contract)
    began = time.perf_counter()
    engine = Engine(checkpoint, features=Features(0), studies=1)
    [(trace, grounding)] = answers(engine, prepared, [asked], calibrated)
    trace = replace(trace, seconds=time.perf_counter() - began)
    if override:
        trace = replace(trace, versions=trace.versions | {OVERRIDDEN: " ".join(override)})
    return trace, prepared, grounding


def overridden(contract: Contract, changes: Sequence[str]) -> Contract:
    """The contract with some fields changed by name; raises BadInput."""
    try:
        return contract.overridden(changes)
    except ValueError as error:  # of pydantic's too
        raise BadInput(
            "the contract can't be overridden like this",
            where=f"--override: found {', '.join(changes)}, wanted NAME=VALUE; {_reason(error)}",
            next="urm ask --help tells how",
        ) from error


def _reason(error: ValueError) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)


def _checked(question: str, options: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Question and options, trimmed; raises BadInput."""
    text, choices = question.strip(), tuple(option.strip() for option in options)
    if not text:
        raise BadInput("the question is empty", where="question: found no words, wanted some", next="write a question")
    whole = "\n".join((text, *choices))
    if len(whole) > LONGEST:
        raise BadInput(
            "the question is too long",
            where=f"question and options: found {len(whole)} characters, wanted up to {LONGEST}",
            next="ask in fewer words",
        )
    if any("\ud800" <= letter <= "\udfff" for letter in whole):
        raise BadInput(
            "the question is not text",
            where="question and options: found bytes that are no UTF-8, wanted UTF-8",
            next="write it in UTF-8",
        )
    if len(choices) == 1 or len(choices) > len(ascii_uppercase):
        raise BadInput(
            "a question has no options, or 2 to 26",
            where=f"options: found {len(choices)}, wanted 0 or 2 to {len(ascii_uppercase)}",
            next="repeat --option for each, or leave them all out",
        )
    if "" in choices or len(set(choices)) < len(choices):
        raise BadInput(
            "options must differ",
            where="options: found an empty or a repeated one, wanted each once",
            next="leave it out, or tell them apart",
        )
    return text, choices


def _question(volume: Volume, text: str, options: tuple[str, ...]) -> Question:
    """The record of a question that no data set holds."""
    study = volume.digest
    name = hashlib.sha256("\n".join((study, text, *options)).encode()).hexdigest()[:16]
    return Question(
        id=f"asked-{name}",
        study=study[:16],
        subject="",
        split="asked",
        dimension=volume.dimension,
        family="",
        text=text,
        options=options,
        answer=None,
        contrast=volume.modality,
        laterality=any(map(speaks_of_sides, (text, *options))),
        provenance="asked by hand",
    )
