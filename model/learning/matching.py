"""Does an answer in words say what the truth says? Compared as words, after normalisation.

Case, punctuation, articles and the Unicode form of a letter don't matter; numbers are kept whole ("3.5"). Not covered:
synonyms, other units, negation.
"""

import re
import unicodedata
from collections import Counter

WORD = re.compile(r"\d+(?:\.\d+)?|\w+")
ARTICLES = frozenset({"a", "an", "the"})
POLAR = (["yes"], ["no"])


def words(text: str) -> list[str]:
    """What is compared. "The left lung: 3.5 cm." -> left, lung, 3.5, cm."""
    found = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return [word for word in found if word not in ARTICLES]


def exact_match(said: str, truth: str) -> float:
    """1 where the same words stand in the same order; 0 where nothing is said."""
    return float(bool(words(said)) and words(said) == words(truth))


def token_f1(said: str, truth: str) -> float:
    """Harmonic mean of precision and recall of words, in [0, 1] (SQuAD, arXiv 1606.05250, section 6.1).

    Beside a yes or no nothing else counts, as in HotpotQA's evaluation: "yes and no" is neither.
    """
    ours, theirs = words(said), words(truth)
    if ours in POLAR or theirs in POLAR:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs)) if shared else 0.0


def token_recall(said: str, truth: str) -> float:
    """Share of the truth's words that were said, in [0, 1], as LLaVA-Med has it of open questions (arXiv 2306.00890)."""
    ours, theirs = Counter(words(said)), Counter(words(truth))
    return (ours & theirs).total() / theirs.total() if theirs else 0.0
