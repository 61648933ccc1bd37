"""From what sets write as options to their texts, and which of them is right.

Sets name the right one by its letter, by its text, or by both; both must then agree.
"""

import re
from collections.abc import Iterable, Mapping
from string import ascii_uppercase

ABSENT = ("", "-", "nan")
"""What stands where a row has fewer options than its table has columns, folded."""
BOTH = ("Yes", "No")


def offered(texts: Iterable[str | None]) -> dict[str, str]:
    """Letter -> text of the options that are there.

    texts: of A, B, … in their order. None, "" and "-" are no options. Letters before the texts ("A: liver") are taken
    off where each has its own: one alone may belong to the text ("A. fumigatus").
    """
    found = {
        letter: (text or "").strip()
        for letter, text in zip(ascii_uppercase, texts, strict=False)
        if folded(text or "") not in ABSENT
    }
    bare = {letter: re.sub(rf"\A\(?{letter}\s*[:.)]\s*", "", text, flags=re.I) for letter, text in found.items()}
    repeated = all(bare[letter] != text for letter, text in found.items())
    found = bare if repeated else found
    return {letter: text for letter, text in found.items() if folded(text) not in ABSENT}


def right_of(options: Mapping[str, str], letter: str = "", text: str = "") -> int | str:
    """Place of the right option among those that are there, or the reason why it can't be told."""
    if len(options) < 2:
        return "fewer than two options"
    spelled = [folded(option) for option in options.values()]
    if len(set(spelled)) < len(spelled):
        return "two options are alike"
    if letter and letter not in options:
        return "its letter is no option"
    named = list(options).index(letter) if letter else None
    if not text:
        return "no answer" if named is None else named
    if folded(text) not in spelled:
        return "the answer is no option"
    said = spelled.index(folded(text))
    return said if named in (None, said) else "letter and text name different options"


def yes_or_no(answer: str) -> int | None:
    """Index into `BOTH` of an answer that is one of them."""
    spelled = folded(answer).rstrip(".")
    return ("yes", "no").index(spelled) if spelled in ("yes", "no") else None


def folded(text: str) -> str:
    """As it is compared: case and spaces don't count."""
    return " ".join(text.split()).casefold()
