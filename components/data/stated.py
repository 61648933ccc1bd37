"""What words state, as far as words on a list tell: names, sides, numbers, relations, denials.

Two stretches that state the same may differ in everything else. A finding said in words of no list is not seen here.
"""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

SIDES = re.compile(r"\b(left|right|bilateral)\b")
NUMBERS = re.compile(
    r"\d+(?:\.\d+)?|\b(?:two|three|four|five|six|seven|eight|nine|ten|several|multiple|many|single|both)\b"
)
"""Not "one", which is a pronoun too ("the left one"); whoever makes several of it, or it of several, is found."""
DENIALS = re.compile(r"\b(?:no|not|none|nothing|nowhere|without|absent|neither|never|cannot|\w+n't|lacks?)\b")
RELATIONS = {
    "larger": r"larger|bigger|greater|exceeds", "smaller": r"smaller|lesser", "above": r"above|superior",
    "below": r"below|beneath|inferior", "before": r"in front of|anterior", "behind": r"behind|posterior",
    "inside": r"inside|within", "outside": r"outside", "less than": r"(?:less|shorter) than",
    "more than": r"(?:more|longer) than", "upper": r"upper|top|uppermost", "middle third": r"(?:middle|central) third",
    "lower": r"lower|bottom|lowermost", "higher": r"higher|further up",
}  # fmt: skip
"""Fact -> its words, whole ones."""
RELATED = re.compile("|".join(rf"(?P<{fact.replace(' ', '_')}>\b(?:{words})\b)" for fact, words in RELATIONS.items()))
FOREIGN = re.compile(
    r"<|>|\||```|https?:|\b(?:ignore|disregard|instructions?|prompt|system|assistant|user|as an ai|language model)\b"
)
"""What hardly a rationale holds once its boxes are taken out: tags, code, links, and words to whoever reads it."""


def any_of(names: Iterable[str]) -> re.Pattern[str]:
    """Finds each of the names, in lower case, the longest that fits."""
    longest_first = sorted({name.lower() for name in names if name}, key=lambda name: (-len(name), name))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b" if longest_first else r"(?!)")


def why_other(wanted: str, found: str, names: re.Pattern[str]) -> str:
    """Why a stretch of words doesn't state what the wanted one does, "" where it does. names: `any_of` them."""
    wanted, found = wanted.lower(), found.lower()
    if not set(FOREIGN.findall(found)) <= set(FOREIGN.findall(wanted)):
        return "words that no rationale holds"
    if wanted.strip() and not re.search(r"\w", found):
        return "a stretch without words"
    facts = _facts(found, names)
    return next((f"other {kind}" for kind, fact in _facts(wanted, names).items() if fact != facts[kind]), "")


def _facts(words: str, names: re.Pattern[str]) -> dict[str, object]:
    """What a stretch says; names, sides and relations in their order, or a comparison could be turned round."""
    return {
        "names": _in_order(names.findall(words)),
        "sides": _in_order(SIDES.findall(words)),
        "numbers": Counter(NUMBERS.findall(words)),
        "relations": _in_order(str(found.lastgroup) for found in RELATED.finditer(words)),
        "denials": bool(DENIALS.search(words)),
    }


def _in_order(said: Iterable[str]) -> list[str]:
    """Without what is said twice in a row."""
    return [word for word, _ in groupby(said)]
