"""Words that speak of the patient's left and right: the only code that knows them.

"The left side of the image" speaks of the picture, "left of the lesion" of a direction: neither names a side
of the body.
"""

import re

PICTURE = r"(image|picture|slice|scan|view|frame)"
OF_THE_PICTURE = re.compile(
    r"\b(left|right)([- ]hand)?( \w+)? (side|half|part|edge|corner|border|third) of the " + PICTURE + r"\b"
    r"|\b" + PICTURE + r"'s (left|right)\b|\b(left|right) of the " + PICTURE + r"\b"
)
OF_THE_PATIENT = re.compile(r"\b(left|right)(ward|wards|most|sided)?\b")
DIRECTION = re.compile(r"\b(left|right)(ward|wards)? of\b|\bto the (left|right)\b")
NO_SIDE = re.compile(r"\bis (that|this|it) right\b|\bleft (after|over|behind)\b|\bright (now|away)\b")
"""Left and right that are no sides at all."""
DENIED = re.compile(r"\b(no|not|without)\b")
SIDE = re.compile(r"\b(left|right)(most|[- ]sided)?\b")


def speaks_of_sides(text: str) -> bool:
    """True when words need the patient's left and right to be known."""
    return bool(OF_THE_PATIENT.search(NO_SIDE.sub("", OF_THE_PICTURE.sub("", text.lower()))))


def side_said(text: str) -> str:
    """ "left" or "right" when the words put something on that side of the body and no other; else ""."""
    if DENIED.search(text.lower()):
        return ""
    words = NO_SIDE.sub("", OF_THE_PICTURE.sub("", text.lower()))
    found = {match[1] for match in SIDE.finditer(DIRECTION.sub("", words))}
    return found.pop() if len(found) == 1 else ""
