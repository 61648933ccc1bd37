"""Questions and options that can't be asked, of a good file."""

from pathlib import Path

from tests.bad_input.case import Case, file_of
from tests.bad_input.openers import OPTIONS, question
from tests.model.imaging.reading.niftis import image
from tests.model.imaging.reading.png import png

MANY = tuple(map(str, range(27)))
FAULTS: tuple[tuple[str, str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("empty", "no words", "  ", OPTIONS, ("the question is empty",)),
    ("one option", "one option", "Is it?", ("Yes",), ("options", "found 1", "0 or 2 to 26")),
    ("many options", "27 options", "Is it?", MANY, ("options", "found 27")),
    ("twice", "an option twice", "Is it?", ("Yes", "Yes "), ("options must differ",)),
    ("empty option", "an option without words", "Is it?", ("Yes", ""), ("options must differ",)),
    ("long", "2800 characters", "Is it? " * 400, OPTIONS, ("too long", "2000")),
    ("long option", "an option of 3000 characters", "Is it?", ("Yes", "no" * 1500), ("too long", "2000")),
    ("not text", "bytes that are no UTF-8", "Is \udcff there?", OPTIONS, ("not text", "UTF-8")),
)


def good(folder: Path) -> Path:
    return file_of("scan.nii", image())(folder)


def sideless(folder: Path) -> Path:
    return file_of("scan.png", png())(folder)


CASES: list[Case] = [
    *(
        Case(f"question: {name}", wrong, good, words, opener=question(text, options))
        for name, wrong, text, options, words in FAULTS
    ),
    Case("question: sides", "left and right of a picture that doesn't know them", sideless,
         ("left and right are not known", "--radiological"), opener=question("Is the left lung clear?")),
    Case("question: sided", "left-sided, without options", sideless, ("left and right are not known",),
         opener=question("Left-sided?", ())),
    Case("question: sides in an option", "the same in an option", sideless, ("left and right are not known",),
         opener=question("On which side?", ("Left", "Right"))),
]  # fmt: skip
