"""Rationales in a model's words, where `rewriter` lets them pass; boxes, answers and facts stay as computed."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from components.data.calls import Calls
from components.data.rewriter import RewriterConfig, Summary, rewrite
from model.interface.grammar import BOX, THINK_CLOSE, THINK_OPEN, write_answer, write_box
from model.interface.question import Question, Remark


def rewritten(
    questions: Sequence[Question], config: RewriterConfig, summary: Summary, names: Iterable[str], calls: Calls
) -> list[Question]:
    """In order; each with its rationale told anew, or as it was.

    names, calls: as `rewrite`. What comes back from an endpoint isn't the same twice: neither are the bytes.
    """
    told = rewrite(map(_trace, questions), config, summary, names, calls)
    return [q if new.refused else _with_words(q, new.text) for q, new in zip(questions, told, strict=True)]


def _trace(question: Question) -> str:
    """As a model would say it, boxes in source voxels."""
    flat = question.dimension == 2
    said = " ".join(f"{r.text} {write_box(r.box, flat=flat)}" if r.box else r.text for r in question.rationale)
    right = question.reply if question.answer is None else question.options[question.answer]
    return f"{THINK_OPEN}{said}{write_answer(question.letter or '', right)}"


def _with_words(question: Question, trace: str) -> Question:
    """The stretch up to a box is that box's remark, what is left the conclusion."""
    thought = trace[trace.index(THINK_OPEN) + len(THINK_OPEN) : trace.index(THINK_CLOSE)]
    stretches = [re.sub(r"\s+", " ", words).strip() for words in BOX.sub("\0", thought).split("\0")]
    boxed = [remark for remark in question.rationale if remark.box]
    remarks = [replace(remark, text=words) for remark, words in zip(boxed, stretches[:-1], strict=True)]
    return replace(question, rationale=(*remarks, *([Remark(stretches[-1])] if stretches[-1] else [])))
