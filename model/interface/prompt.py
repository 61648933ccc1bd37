"""The words around a study: system prompt and user text. The chat template only frames them.

The user turn is pictures, then text: the question, a blank line, the options one a line. A volume's
pictures may each be led by their slice index (`Contract.slice_labels`).
"""

from string import ascii_uppercase

from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.grammar import numbers
from model.interface.question import Question

SYSTEM_2D = "You read 2D medical images. Point at evidence with boxes, then answer."
SYSTEM_3D = "You read 3D medical volumes. Point at evidence with boxes, then answer."


def system(dimension: int) -> str:
    return SYSTEM_2D if dimension == 2 else SYSTEM_3D


def user_text(text: str, options: tuple[str, ...]) -> str:
    """Question, blank line, options as "A. …" a line."""
    lines = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    return "\n".join([text, "", *lines]) if options else text


def slice_label(z: int, contract: Contract) -> str:
    """What is written before slice z of a volume; nothing on an image."""
    return f"{z}:" if contract.slice_labels else ""


def question_text(question: Question, places: tuple[Box, ...]) -> str:
    """The user text of a question. places: its regions in model space."""
    flat = question.dimension == 2
    return user_text(filled(question.text, places, flat=flat), filled_options(question, places))


def filled_options(question: Question, places: tuple[Box, ...]) -> tuple[str, ...]:
    """The options as they are shown."""
    return tuple(filled(option, places, flat=question.dimension == 2) for option in question.options)


def filled(text: str, places: tuple[Box, ...], *, flat: bool) -> str:
    """{0}, {1}, … replaced by bare [numbers], without box tags, because only the model points."""
    for i, box in enumerate(places):
        text = text.replace(f"{{{i}}}", numbers(box, flat=flat))
    return text
