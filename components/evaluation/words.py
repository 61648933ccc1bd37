"""Open answers against the right one: what is compared, and how nearly it is the same.

Normalised as SQuAD's evaluation does (Rajpurkar et al. 2016, arXiv 1606.05250): case, punctuation and articles don't
count. Recall is what LLaVA-Med (Li et al. 2023, arXiv 2306.00890) reports of open questions.
"""

import re
from collections import Counter

NO_WORD = re.compile(r"[^\w\s]|_")
ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalised(text: str) -> str:
    return " ".join(ARTICLE.sub(" ", NO_WORD.sub(" ", text.casefold())).split())


def exact(said: str, right: str) -> float:
    """1 where both are the same once normalised, else 0."""
    return float(normalised(said) == normalised(right))


def token_f1(said: str, right: str) -> float:
    """Harmonic mean of precision and recall over words, in [0, 1]; two texts without words are the same."""
    a, b = _words(said), _words(right)
    if not a or not b:
        return float(a == b)
    return 2 * _common(a, b) / (a.total() + b.total())


def token_recall(said: str, right: str) -> float:
    """Share of the right answer's words that were said, in [0, 1]."""
    a, b = _words(said), _words(right)
    return _common(a, b) / b.total() if b else float(not a)


def _words(text: str) -> Counter[str]:
    return Counter(normalised(text).split())


def _common(a: Counter[str], b: Counter[str]) -> int:
    return (a & b).total()
