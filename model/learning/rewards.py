"""The outcome reward: right first, well formed second, never where the boxes are.

No IoU is paid (arXiv 2606.11740): grounding must earn its keep through the answer. Format pays only
a right answer, so it can't be farmed; what can't be read costs a little. Tool use is logged, not paid.
"""

from collections.abc import Sequence

from model.interface.question import Question
from model.interface.trace import Trace

ANSWER, FORMAT, MALFORMED = 0.8, 0.2, -0.2


def reward(trace: Trace, question: Question) -> float:
    """In [-0.2, 1]: correct x (0.8 + 0.2 x format) and -0.2 where a box can't be read or used.

    Format is whole only where the answer pointed and was shown what is there: without that, pointing
    is unlearnt within a few dozen steps (docs/LOG.md).
    """
    correct = trace.answer.choice is not None and trace.answer.choice == question.letter
    broken_box = any(step.flaw for step in trace.steps)
    looked = any(step.crops for step in trace.steps)
    return correct * (ANSWER + FORMAT * (trace.valid_format and looked)) + MALFORMED * broken_box


def advantages(rewards: Sequence[float]) -> list[float]:
    """Each reward less its group's mean, undivided (Dr. GRPO, arXiv 2503.20783); exactly 0 when all are equal."""
    if all(r == rewards[0] for r in rewards):
        return [0.0] * len(rewards)
    mean = sum(rewards) / len(rewards)
    return [r - mean for r in rewards]
