"""What a peer's reply chose, where it says so plainly; our own checkpoints are read by the one grammar instead.

In the manner of others' extraction of answers: MMMU's `parse_multi_choice_response` (Yue et al. 2023, arXiv
2311.16502), which looks for letters and for the options' texts, and MMLU-Pro's (Wang et al. 2024, arXiv 2406.01574),
which looks behind "answer is" and "answer:". Both guess by chance where they find nothing; here nothing is guessed: a
reply that names two options, or none in one of these forms, is no answer.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

from model.interface.grammar import CHOICE, THINK_CLOSE
from model.learning.matching import WORD

EMPHASIS = re.compile(r"(?<!\w)[*_`#]+|[*_`]+(?!\w)")
"""Markdown around words, not "2*3"."""
ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
LEAD_IN = re.compile(r"\banswer(?:\s+is\b\s*:?|\s*:)\s*(?:option\s+)?", re.IGNORECASE)
"""Up to the answer itself: "Answer: ", "the correct answer is option "."""
LETTER = re.compile(r"\(?([A-Za-z])\b[.:)]*")
NAMED = re.compile(r"\b(?:A\b(?!\s+[a-z])|[B-Z]\b)")
"""A capital by itself that is no article."""


def told(reply: str) -> str:
    """The answer itself: behind the thought, without emphasis, in its tag or behind its lead-in where it has them."""
    said = EMPHASIS.sub("", reply.rpartition(THINK_CLOSE)[2])
    said = "\n".join(ANSWER.findall(said)) or said
    before, *behind = LEAD_IN.split(said)
    return "\n".join(behind or [before]).strip()


def chosen(reply: str, options: Sequence[str]) -> str | None:
    """Letter of the one option that is plainly chosen, a line at a time; None where that is none, or several."""
    found = {ascii_uppercase[place] for line in told(reply).splitlines() for place in _of(line.strip(), options)}
    return found.pop() if len(found) == 1 else None


def _of(line: str, options: Sequence[str]) -> set[int]:
    """Places of the options that a line is the text of, or the letter of, alone or with its text."""
    texts = [_words(option) for option in options]
    found = {place for place, text in enumerate(texts) if text and text == _words(line)}
    opened = LETTER.match(line)
    place = ord(opened[1].upper()) - ord("A") if opened else len(options)
    if opened is None or place >= len(options):
        return found
    rest = line[opened.end() :]
    plain = _words(rest) in ([], texts[place])
    # the grammar's own form with more behind it, as long as that names no other option
    if plain or (not found and CHOICE.match(line) and set(_named(rest, texts)) <= {place}):
        found.add(place)
    return found


def _named(rest: str, texts: Sequence[list[str]]) -> Iterator[int]:
    """Places of the options whose letter or text stands anywhere in the rest."""
    yield from (ord(letter) - ord("A") for letter in NAMED.findall(rest) if ord(letter) - ord("A") < len(texts))
    line = f" {' '.join(_words(rest))} "
    yield from (place for place, text in enumerate(texts) if text and f" {' '.join(text)} " in line)


def _words(text: str) -> list[str]:
    """As `matching.words`, but for articles: here "A" may be a letter."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())
