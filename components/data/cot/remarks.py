"""What a rationale may say: every remark against the grammar's sentences, filled with what the masks show.

    remark                  sentences             filled with
    before a box            at, closer, around    what is in the box; what it surrounds
    the last, without one   conclude              the question's names, and the word that is true

Only the sentences are shared with what told the rationale. A model's own words match none: of them each remark must
state what one of its sentences states (`components/data/stated.py`), no fact more and none less.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise

from components.data.cot.truth import SIDES, Truth, answers, holds
from components.data.cot.wording import Words, filled_in, with_article
from components.data.sources.ontology import entry
from components.data.stated import any_of, why_other
from model.interface.question import Question, Remark


def wrong_remarks(
    question: Question, ask: str, about: Sequence[str], truth: Truth, *, own_words: bool = False
) -> Iterator[str]:
    """What its remarks say that isn't so, each with what was found and what was wanted.

    own_words: a model may have rephrased them.
    """
    pointing = [remark for remark in question.rationale if remark.box]
    ended = question.rationale[len(pointing) :]
    if any(remark.box for remark in ended):
        yield "a remark that points at nothing stands before a box"
        return
    roles = _roles(pointing, ask, about)
    yield from _wrong_names(pointing, roles, ask, about, truth)
    wanted = [
        sentences("box", role, remark.names, about[0] if role == "around" else "")
        for remark, role in zip(pointing, roles, strict=True)
    ]
    last = conclusions(ask, about, truth)
    if last is not None:
        wanted.append(last)
    elif own_words and ended:
        wanted.append(("",))  # words that state nothing
    if len(wanted) != len(question.rationale):
        found = [remark.text for remark in ended]
        yield f"conclusion: found {found}, wanted {repr(last[:1]) if last is not None else 'none'}"
        return
    names = any_of({*truth.names, *about}) if own_words else None
    for k, (remark, some) in enumerate(zip(question.rationale, wanted, strict=True)):
        stated = names and any(not why_other(sentence, remark.text, names) for sentence in some)
        if remark.text not in some and not stated:
            what = f"remark {k + 1}" if remark.box else "conclusion"
            yield f"{what}: found {remark.text!r}, wanted {repr(some[0]) if some else 'nothing: it is in doubt'}"


def conclusions(ask: str, about: Sequence[str], truth: Truth) -> tuple[str, ...] | None:
    """Every sentence that concludes what is true; none where the masks leave it in doubt, None where none belongs."""
    one = about[0] if about else ""
    right = [answer for answer in answers(ask, about, truth) if holds(ask, about, answer, truth)]
    if ask == "which box" or (ask in ("seen", "lesion seen") and "Yes" in right):
        return None
    return tuple(sentence for answer in right for sentence in _conclusions(ask, about, one, answer))


def _conclusions(ask: str, about: Sequence[str], one: str, answer: str) -> tuple[str, ...]:
    match ask:
        case "seen":
            return sentences("conclude", "unseen", one)
        case "lesion seen":
            return sentences("conclude", "no lesion", one)
        case "kind" if answer == "none":
            return sentences("conclude", "healthy")
        case "kind":
            return sentences("conclude", "kind", answer, word=with_article(answer))
        case "inside":
            return sentences("conclude", "inside", one, about[1], "inside" if answer == "Yes" else "outside")
        case "relation x" | "relation y" | "relation z":
            return sentences("conclude", "relation", one, about[1], answer)
    return sentences("conclude", ask, one, word=answer)


def _roles(pointing: Sequence[Remark], ask: str, about: Sequence[str]) -> list[str]:
    """As what each box is pointed at: first what is around the thing, the thing, the same box a second time."""
    roles = ["at"] * len(pointing)
    for k, (before, remark) in enumerate(pairwise(pointing), 1):
        if (before.names, before.box) == (remark.names, remark.box):
            roles[k] = "closer"
    if ask == "which box" and len(pointing) > 1 and pointing[0].names != about[0]:
        roles[0] = "around"
    return roles


def _wrong_names(
    pointing: Sequence[Remark], roles: Sequence[str], ask: str, about: Sequence[str], truth: Truth
) -> Iterator[str]:
    """Boxes of what isn't asked about, or isn't around it."""
    found = [remark.names for remark, role in zip(pointing, roles, strict=True) if role == "at"]
    wanted = _spoken_of(ask, about, truth)
    if found not in wanted:
        yield f"boxes: found {found}, wanted {' or '.join(map(repr, wanted))}"
    for remark, role in zip(pointing, roles, strict=True):
        kind = "lesion" if remark.names == "lesion" else entry(remark.names).kind
        if remark.kind != kind:
            yield f"kind of {remark.names}: found {remark.kind!r}, wanted {kind!r}"
        if role == "around" and not holds("host", about, remark.names, truth):
            yield f"around the {about[0]}: found {remark.names}, wanted what it lies in"


def _spoken_of(ask: str, about: Sequence[str], truth: Truth) -> list[list[str]]:
    """What a rationale may point at, in order."""
    if ask == "kind":
        return [["lesion"]] if truth.lesions else [[]]
    if ask in ("larger side", "higher side"):
        return [[f"{side} {about[0]}" for side in SIDES]]
    if ask in ("seen", "lesion seen") and about[0] not in truth.here:
        system = entry(about[0]).system
        return [[], *([name] for name in sorted(truth.here) if entry(name).system == system)]
    return [list(about)]


@lru_cache(maxsize=1 << 14)
def sentences(role: str, key: str, a: str = "", b: str = "", word: str = "") -> tuple[str, ...]:
    """All that may be said, or asked, of these names and this word; nothing of what the grammar doesn't know."""
    return tuple(filled_in(sentence, a=a, b=b, word=word) for sentence in _words().sentences.get((role, key), ()))


@cache
def _words() -> Words:
    return Words()
