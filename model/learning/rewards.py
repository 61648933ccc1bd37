"""What an answer earns: named functions of a trace, its question and, for the ablation, the true boxes.

    paper     0.8 answer + 0.2 format                              arXiv 2606.11740
    ours      answer x (0.8 + 0.2 format) - 0.2 broken box         format can't be farmed: it pays what is right
    ours+iou  the same + 0.2 IoU of the boxes                      what the paper leaves out, as an ablation

All read the trace that the one grammar read. In `paper` and `ours` it earns nothing to be in the right place: grounding
must earn its keep through the answer. Tool use is logged, not paid.
"""

from collections.abc import Callable, Sequence
from typing import Literal

from model.interface.boxes import Box, iou
from model.interface.grammar import THINK_OPEN, THINK_TAG, parse
from model.interface.question import Question
from model.interface.trace import Trace
from model.learning.matching import exact, token_f1, words

ANSWER, FORMAT, MALFORMED, PLACE = 0.8, 0.2, -0.2, 0.2
POLAR = (["yes"], ["no"])

Name = Literal["paper", "ours", "ours+iou"]
Reward = Callable[[Trace, Question, Sequence[Box]], float]
"""(trace, its question with `reply` as it was to be said, true boxes in model space) -> what it earns."""

SMALLEST_STD = 0.01
"""Rewards closer together than this are told apart no further; without a floor a residue of rounding becomes an
advantage of thousands (NVIDIA-NeMo/RL#4161)."""


def paper(trace: Trace, question: Question, truths: Sequence[Box] = ()) -> float:
    """In [0, 1]. Format is a half for the thought and a half for the boxes, whatever the answer: as published, but for
    tags that have to pair in order, and boxes that have to be there and be readable."""
    return ANSWER * right(trace, question) + FORMAT * (one_thought(trace) + good_boxes(trace)) / 2


def ours(trace: Trace, question: Question, truths: Sequence[Box] = ()) -> float:
    """In [-0.2, 1]. Format is whole only where the answer pointed and was shown what is there: without that, pointing
    is unlearnt within a few dozen steps (docs/LOG.md)."""
    well = whole(trace, question) * looked(trace)
    return right(trace, question) * (ANSWER + FORMAT * well) + MALFORMED * broken_box(trace)


def ours_iou(trace: Trace, question: Question, truths: Sequence[Box] = ()) -> float:
    """In [-0.2, 1.2]; as `ours` where nobody knows the boxes."""
    return ours(trace, question) + PLACE * placed(trace, truths)


REWARDS: dict[Name, Reward] = {"paper": paper, "ours": ours, "ours+iou": ours_iou}


def has_truth(question: Question) -> bool:
    """Whether answers to it can be judged: it has a right letter, or a reply in words."""
    return bool(question.letter or question.reply)


def right(trace: Trace, question: Question) -> float:
    """Of a question with options, 1 for the right letter; of an open one F1 over the words it shares with the truth.

    Beside a yes or no nothing else counts, as in HotpotQA's evaluation: "yes and no" is neither. What holds half a
    thought is no answer in words.
    """
    if question.options:
        return float(trace.answer.choice is not None and trace.answer.choice == question.letter)
    said, truth = trace.answer.text, question.reply
    if not words(said) or THINK_TAG.search(said):
        return 0.0
    polar = words(said) in POLAR or words(truth) in POLAR
    return exact(said, truth) if polar else token_f1(said, truth)


def one_thought(trace: Trace) -> float:
    """1 where one thought was opened, closed, and answered behind."""
    return float(not any(THINK_OPEN in flaw.reason for flaw in parse(trace.text).flaws))


def good_boxes(trace: Trace) -> float:
    """1 where there are boxes, and every one could be read and used."""
    unread = any(THINK_OPEN not in flaw.reason for flaw in parse(trace.text).flaws)
    return float(bool(trace.answer.evidence) and not unread and not broken_box(trace))


def whole(trace: Trace, question: Question) -> float:
    """1 where nothing is amiss: `Trace.valid_format`, and of an open question the same but for the letter."""
    if question.options:
        return float(trace.valid_format)
    return float(not trace.answer.flaws and not trace.truncated and bool(trace.answer.text))


def looked(trace: Trace) -> float:
    """1 where the answer pointed and was shown what is there."""
    return float(any(step.crops for step in trace.steps))


def broken_box(trace: Trace) -> float:
    """1 where a box couldn't be read or used."""
    return float(any(step.flaw for step in trace.steps))


def placed(trace: Trace, truths: Sequence[Box]) -> float:
    """Mean IoU with the true boxes in [0, 1], each met by one box at most, best pairs first; 0 where none is known.

    Divided by whichever are more, the boxes said or the true ones: many boxes earn no more than the right ones.
    """
    said = [step.box for step in trace.steps if step.box]
    pairs = sorted(((iou(a, b), i, k) for i, a in enumerate(said) for k, b in enumerate(truths)), reverse=True)
    met, taken, total = set[int](), set[int](), 0.0
    for overlap, i, k in pairs:
        if i not in met and k not in taken:
            met.add(i)
            taken.add(k)
            total += overlap
    return total / max(len(said), len(truths)) if truths else 0.0


def advantages(rewards: Sequence[float], *, divided: bool = False) -> list[float]:
    """Each reward less its group's mean; exactly 0 when all are equal.

    divided: by the group's standard deviation, at least SMALLEST_STD (GRPO, arXiv 2402.03300, section 4.1.2); undivided
    as in Dr. GRPO (arXiv 2503.20783).
    """
    if all(r == rewards[0] for r in rewards):
        return [0.0] * len(rewards)
    mean = sum(rewards) / len(rewards)
    less = [r - mean for r in rewards]
    if not divided:
        return less
    std = (sum(r * r for r in less) / len(less)) ** 0.5
    return [r / max(std, SMALLEST_STD) for r in less]
