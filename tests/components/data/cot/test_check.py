"""The independent check finds nothing in what was built, and finds whatever is broken."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from components.data.cot import build, check
from components.data.cot.check import ASKED, wrong
from components.data.cot.plan import SPLITS, CotConfig, plan
from components.data.cot.studies import digest_of
from components.data.cot.truth import Truth
from model.imaging import shards
from model.interface.boxes import Box
from model.interface.question import FAMILIES, Question, Remark
from tests.components.data.cot import blobs
from tests.components.data.cot.conftest import config_of

Harm = Callable[[Question, Iterable[Question]], Question | None]
"""(a sample, others of its shard) -> the sample damaged; None where it can't be damaged so."""


def test_no_sample_of_more_than_twenty_thousand_is_wrong(blob_source, tmp_path):
    config = config_of(tmp_path / "data", cases=400)
    build.run(config)
    n, faults = check.check(config)
    assert n > 20_000
    assert faults == []


def test_every_family_is_asked_in_both_dimensions_closed_and_open(built):
    asked = [q for split in SPLITS for q in shards.read_questions(built.out, split)]
    met = Counter((q.dimension, q.family, bool(q.options)) for q in asked)
    assert all(met[d, family, closed] for d in (2, 3) for family in FAMILIES for closed in (True, False)), met


def moved(box: Box) -> Box:
    return Box.of((*(n + 1 for n in box.low), *(n + 1 for n in box.high)))


def first_box(question: Question, change) -> Question:
    k = next(k for k, remark in enumerate(question.rationale) if remark.box)
    told = [*question.rationale]
    told[k] = change(told[k])
    return replace(question, rationale=tuple(told))


def one_more(question: Question, *some: Remark) -> Question:
    return replace(question, rationale=(*question.rationale, *some))


def conclusion(question: Question) -> str:
    """ "" where it ends by pointing."""
    last = question.rationale[-1]
    return "" if last.box else last.text


def concluding(change: Callable[[str], str]) -> Harm:
    """Its conclusion changed; nothing where there is none, or none that changes."""

    def harm(question: Question, others: Iterable[Question]) -> Question | None:
        text = conclusion(question)
        new = change(text)
        return None if new == text else replace(question, rationale=(*question.rationale[:-1], Remark(new)))

    return harm


def turned(*words: str) -> Callable[[str], str]:
    """Each word becomes the next."""
    following = dict(zip(words, (*words[1:], words[0]), strict=True))
    any_word = re.compile(rf"\b(?:{'|'.join(words)})\b")
    return lambda text: any_word.sub(lambda found: following[found[0]], text)


def negated(text: str) -> str:
    for denial, none in ((" not ", " "), ("see no ", "see "), ("No ", "Some "), (" no ", " a "), ("Nothing", "All")):
        if denial in text:
            return text.replace(denial, none)
    text = text.replace("I count", "I don't count")
    return re.sub(r"\b(is|lies|sits|looks|seems)\b", r"\1 not", text, count=1)


def asked(question: Question) -> tuple[str, str]:
    told = ASKED.search(question.provenance)
    assert told
    return told["ask"], told["about"]


def answer(question: Question) -> str:
    return question.reply or question.options[question.answer or 0]


def of_another(question: Question, others: Iterable[Question]) -> Question | None:
    """What was concluded of another question, or to another answer: true there, not here."""
    for other in others if conclusion(question) else ():
        (ask, about), (theirs, what) = asked(question), asked(other)
        differs = ask != theirs or answer(question) != answer(other) or (ask.endswith("seen") and about != what)
        same_words = {ask, theirs} == {"host", "inside"}  # "It lies inside the liver." may be true of both
        if conclusion(other) and differs and not same_words:
            return replace(question, rationale=(*question.rationale[:-1], other.rationale[-1]))
    return None


def boxed(change: Callable[[Question], Question]) -> Harm:
    """Of closed questions with a box in the rationale."""
    return lambda q, _: change(q) if q.options and any(r.box for r in q.rationale) else None


NAMES = (*blobs.PLACES, blobs.LESION)
renamed = turned(*NAMES, "lesion")
QUARTERS = ("upper left quarter", "lower left quarter", "upper right quarter", "lower right quarter")
THIRDS = ("lower third", "middle third", "upper third")
LENGTHS = ("less than 10 mm", "10 to 20 mm", "20 to 40 mm", "more than 40 mm")
HARMS: dict[str, Harm] = {
    "another letter": boxed(lambda q: replace(q, answer=(q.answer + 1) % len(q.options))),  # type: ignore[operator]
    "a box a voxel off": boxed(lambda q: first_box(q, lambda r: replace(r, box=moved(r.box)))),
    "a box of something else": boxed(lambda q: first_box(q, lambda r: replace(r, names="pancreas"))),
    "a box of another kind": boxed(lambda q: first_box(q, lambda r: replace(r, kind="own"))),
    "an option twice": boxed(lambda q: replace(q, options=(*q.options, q.options[0]))),
    "words of nobody": boxed(lambda q: replace(q, text=q.text + " Please.")),
    "no word of what is asked": boxed(lambda q: replace(q, provenance="blobs")),
    "a box tag in the words": boxed(lambda q: replace(q, rationale=(Remark("<|box_start|>[1,2"), *q.rationale))),
    "an answer before the end": boxed(lambda q: one_more(q, Remark("</think>A. no"))),
    "a picture of another size": lambda q, _: (
        replace(q, text=re.sub(r"(\d+) mm\.$", r"1\1 mm.", q.text)) if "longest side of the " in q.text else None
    ),
    "a remark of another thing": boxed(
        lambda q: first_box(q, lambda r: replace(r, text=turned(*NAMES, "lesion")(r.text)))
    ),
    "a remark of nobody": boxed(lambda q: first_box(q, lambda r: replace(r, text=f"Surely {r.text}"))),
    "a remark without its box": boxed(lambda q: first_box(q, lambda r: Remark(r.text))),
    "a conclusion of another sample": of_another,
    "a conclusion negated": concluding(negated),
    "a conclusion of the other side": concluding(turned("left", "right")),
    "a conclusion of another structure": concluding(turned(*NAMES)),
    "a conclusion the other way along y": concluding(turned("in front of", "behind")),
    "a conclusion the other way along z": concluding(turned("above", "below")),
    "a conclusion along another axis": concluding(turned("above", "behind")),
    "a conclusion of the other relation": concluding(turned("inside", "outside")),
    "a conclusion of another size": concluding(turned("larger", "smaller")),
    "a conclusion of another height": concluding(turned("higher", "lower")),
    "a conclusion of another third": concluding(turned(*THIRDS)),
    "a conclusion of another quarter": concluding(turned(*QUARTERS)),
    "a conclusion of another length": concluding(turned(*LENGTHS)),
    "a conclusion of another number": concluding(turned("one", "several")),
    "a conclusion of nobody": concluding(lambda text: text and f"Surely {text}"),
    "a conclusion left out": lambda q, _: replace(q, rationale=q.rationale[:-1]) if conclusion(q) else None,
    "a conclusion twice": lambda q, _: one_more(q, q.rationale[-1]) if conclusion(q) else None,
    "a conclusion where none belongs": lambda q, _: (
        None if conclusion(q) else one_more(q, Remark("It is on the left."))
    ),
}
RARE = "a conclusion of the other relation"
"""Done to few samples."""
CONCLUDED = (
    "side", "host", "third", "quarter", "seen", "lesion seen", "larger side", "larger", "relation x", "relation y",
    "relation z", "higher side", "inside", "kind", "number", "diameter",
)  # fmt: skip
"""What is asked and may end with a conclusion: all but boxes."""


@pytest.fixture(scope="module")
def samples(built: CotConfig) -> list[tuple[Question, Truth]]:
    """All there is in a shard, with what the masks show."""
    shard = plan(built)[0]
    opened = {digest_of(case): case.open() for case in shard.cases}
    truths = {
        study.id: Truth.of(opened[study.group], study.id, study.volume.plane)
        for study in shards.read_studies(built.out, shard.name)
    }
    return [(question, truths[question.study]) for question in shards.read_questions(built.out, shard.name)]


def test_what_is_told_rightly_is_not_wrong(samples):
    assert [what for question, truth in samples for what in wrong(question, truth)] == []
    assert {asked(question)[0] for question, _ in samples if conclusion(question)} == {*CONCLUDED}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_broken_is_found(samples, harm):
    """Done to every sample it can be done to."""
    missed, tried = [], 0
    for k, (question, truth) in enumerate(samples):
        harmed = HARMS[harm](question, (other for other, _ in samples[k + 1 :] + samples[:k]))
        if harmed:
            tried += 1
            missed += [] if list(wrong(harmed, truth)) else [harmed]
    assert missed == []
    assert tried > (2 if harm == RARE else 30)


def test_a_conclusion_of_another_sample_is_told_with_what_is_true(samples):
    question, truth = next(pair for pair in samples if asked(pair[0])[0] == "side")
    harmed = concluding(turned("left", "right"))(question, ())
    assert harmed
    assert list(wrong(harmed, truth)) == [
        f"conclusion: found {conclusion(harmed)!r}, wanted 'It is on the {answer(question)}.'"
    ]
