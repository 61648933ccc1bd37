"""Open answers against the right one: what is compared, and how nearly it is the same.

Normalised as SQuAD's evaluation does (Rajpurkar et al. 2016, arXiv 1606.05250): case, punctuation and articles don't
count, nor does the Unicode form of a letter; numbers are kept whole ("3.5"). Recall is what LLaVA-Med (Li et al. 2023,
arXiv 2306.00890) reports of open questions. Not covered: synonyms, other units, negation.
"""

import re
import unicodedata
from collections import Counter

WORD = re.compile(r"\d+(?:\.\d+)?|[^\W_]+")
ARTICLES = frozenset({"a", "an", "the"})


def words(text: str) -> list[str]:
    """What is compared. "The left lung: 3.5 cm." -> left, lung, 3.5, cm."""
    found = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return [word for word in found if word not in ARTICLES]


def exact(said: str, right: str) -> float:
    """1 where both are the same words in the same order, else 0."""
    return float(words(said) == words(right))


def token_f1(said: str, right: str) -> float:
    """Harmonic mean of precision and recall over words, in [0, 1]; two texts without words are the same."""
    a, b = words(said), words(right)
    return 2 * _common(a, b) / (len(a) + len(b)) if a or b else 1.0


def token_recall(said: str, right: str) -> float:
    """Share of the right answer's words that were said, in [0, 1]."""
    a, b = words(said), words(right)
    return _common(a, b) / len(b) if b else float(not a)


def _common(a: list[str], b: list[str]) -> int:
    return (Counter(a) & Counter(b)).total()
