"""What can be reached without looking: the answer that is most often right for such a question.

The other baseline, the same model on a blank image, is the model's own and is made in `run`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from string import ascii_uppercase

from model.interface.question import Question

Wording = tuple[int, str, str]
"""(dimension, family, text with its places left open); text "" stands for any."""


def majority(train: Iterable[Question]) -> Mapping[Wording, Counter[str]]:
    """How often each option text was right, by wording and, for wordings never seen, by family."""
    counts: defaultdict[Wording, Counter[str]] = defaultdict(Counter)
    for question in train:
        if question.answer is not None:
            right = question.options[question.answer]
            counts[question.dimension, question.family, question.text][right] += 1
            counts[question.dimension, question.family, ""][right] += 1
    return counts


def majority_letter(counts: Mapping[Wording, Counter[str]], question: Question) -> str | None:
    """The letter of the offered option that was right most often; the first of equals."""
    if not question.options:
        return None
    for text in (question.text, ""):
        seen = counts.get((question.dimension, question.family, text), Counter())
        best = max(range(len(question.options)), key=lambda i: seen[question.options[i]])
        if seen[question.options[best]]:
            return ascii_uppercase[best]
    return ascii_uppercase[0]
