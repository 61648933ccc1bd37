"""Lessons of the base model: short questions and answers about names and places.

A lesson is a branch behind a scene's pictures. They teach to find what is named, to name what is
found, to say that something is not there, and to answer the six families of questions by pointing
first and choosing then. Crops are what SFT adds.

A drill is a lesson without pictures: what follows from what is given. After a rationale it is the right
option's letter, after boxes it is where one lies. Letters stand before texts in any
order, and behind pictures both are too rare among the tokens to be learnt (docs/LOG.md).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from string import ascii_uppercase

import numpy as np

from components.training.base.scenes import Scene, twin
from components.training.examples import answer_of
from model.interface.boxes import Box
from model.interface.grammar import THINK_CLOSE, THINK_OPEN, TURN_END, numbers, write_answer, write_box
from model.interface.prompt import filled_options, question_text, user_text
from model.interface.question import Question

ILL = 0.4
"""Share of lessons about one thing that are about a lesion, where there is one."""
CONCLUDED = ("spatial localisation", "spatial relationship")
"""Families whose answer follows from boxes, as sizes of twins don't: they differ by less than a box tells."""
SHAKEN = 0.2
"""How far off the boxes of a drill's rationale are: standard deviation of a side's place, in sides of the box."""


@dataclass(frozen=True, slots=True)
class Lesson:
    text: str
    """What the user says."""
    answer: str
    """What the model is to say then."""
    named: tuple[str, ...] = ()
    """What each box of the answer is drawn around."""
    seen: str = ""
    """What the first word of the answer depends on seeing; "" where nothing is there to see."""
    given: str = ""
    """How the assistant's turn begins, before the answer: read, not taught."""
    line: str = ""
    """The right option as the user's text has it, "B. stem"; "" of a lesson without options."""


class Teacher:
    """Draws lessons about one scene."""

    def __init__(self, scene: Scene, names: Sequence[str], random: np.random.Generator) -> None:
        self.random, self.flat = random, scene.dimension == 2
        self.shape = scene.prepared.frame.shape
        self.boxes = scene.boxes(names)
        self.absent = scene.absent(names)
        self.seen, self.lesions = list(self.boxes), list(scene.lesions)
        by_family: dict[str, list[Question]] = {}
        for question in scene.questions:
            by_family.setdefault(question.family, []).append(_in_model_space(question, scene))
        self.families = list(by_family.values())

    def lessons(self, n: int) -> list[Lesson]:
        """n lessons: two in five are questions of a family drawn at random, where there are any."""
        if not self.seen:
            return []
        kinds: list[Callable[[], Lesson]] = [self.locate] * 3 + [self.name, self.choose_name, self.presence]
        kinds += [self.question] * 4 if self.families else []
        return [kinds[k]() for k in self.random.integers(0, len(kinds), n)]

    def locate(self) -> Lesson:
        name = self._one()
        return Lesson(
            self._any(f"Where is the {name}?", f"Locate the {name}."), f"{self._box(name)}{TURN_END}", (name,)
        )

    def name(self) -> Lesson:
        name = self._one()
        return Lesson(f"What is at {self._numbers(name)}?", f"{name}{TURN_END}", seen=name)

    def choose_name(self) -> Lesson:
        """Among the wrong ones often its twin, or the names of what else is there."""
        name = self._one()
        options = list(dict.fromkeys([name, *self._others(name)]))
        if len(options) < 2:
            return self.name()
        options = [options[k] for k in self.random.permutation(len(options))]
        letter = ascii_uppercase[options.index(name)]
        text = user_text(f"What is at {self._numbers(name)}?", tuple(options))
        answer = f"{name}.{write_answer(letter, name)}{TURN_END}"
        return Lesson(text, answer, seen=name, given=THINK_OPEN, line=f"{letter}. {name}")

    def presence(self) -> Lesson:
        there = not self.absent or self.random.random() < 0.5
        name = self._one() if there else self.absent[self.random.integers(len(self.absent))]
        text = self._any(f"Is the {name} seen?", f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name}?")
        if there:
            return Lesson(text, f"Yes {self._box(name)}{TURN_END}", (name,), name)
        return Lesson(text, f"No{TURN_END}")

    def question(self) -> Lesson:
        """The rationale with its boxes, then the right option."""
        question = self._any_question()
        around = tuple(remark.names for remark in question.rationale if remark.box)
        answer = f"{self._thought(question)}{write_answer(*answer_of(question, question.regions))}{TURN_END}"
        return Lesson(_asked(question), answer, around, given=THINK_OPEN, line=_right(question))

    def letter(self, question: Question) -> Lesson:
        """A drill: options in a new order, the rationale given, its boxes a little off. question: one of `families`."""
        assert question.answer is not None
        order = self.random.permutation(len(question.options)).tolist()
        turned = replace(
            question,
            options=tuple(question.options[k] for k in order),
            answer=order.index(question.answer),
            rationale=tuple(replace(r, box=r.box and self._shaken(r.box)) for r in question.rationale),
        )
        given = f"{THINK_OPEN}{self._thought(turned)}{THINK_CLOSE}"
        return Lesson(_asked(turned), f"{turned.letter}.", given=given, line=_right(turned))

    def conclusion(self, question: Question) -> Lesson:
        """The boxes given, the rest of the rationale taught."""
        boxes = tuple(remark for remark in question.rationale if remark.box)
        given = f"{THINK_OPEN}{self._thought(replace(question, rationale=boxes))}"
        return Lesson(_asked(question), f"{THINK_OPEN}{self._thought(question)}".removeprefix(given), given=given)

    def drills(self) -> Iterator[tuple[tuple[str, int, str], Callable[[], Lesson]]]:
        """Every drill there is about this scene, after its kind."""
        for question in chain.from_iterable(self.families):
            kind = question.family, len(question.options)
            yield (*kind, "letter"), partial(self.letter, question)
            if question.family in CONCLUDED:
                yield (*kind, "conclusion"), partial(self.conclusion, question)

    def _any_question(self) -> Question:
        family = self.families[self.random.integers(len(self.families))]
        return family[self.random.integers(len(family))]

    def _thought(self, question: Question) -> str:
        return " ".join(
            f"{remark.text} {write_box(remark.box, flat=self.flat)}" if remark.box else remark.text
            for remark in question.rationale
        )

    def _shaken(self, box: Box) -> Box:
        """In whole pixels, inside the picture, not empty."""
        moved = np.rint(np.array(box.numbers) + self.random.normal(0, SHAKEN, 6) * np.tile(box.size, 2))
        low = np.clip(moved[:3], 0, np.array(self.shape) - 1)
        return Box.of((*low, *np.clip(moved[3:], low + 1, self.shape)))

    def _one(self) -> str:
        if self.lesions and self.random.random() < ILL:
            return self.lesions[self.random.integers(len(self.lesions))]
        return self.seen[self.random.integers(len(self.seen))]

    def _others(self, name: str) -> list[str]:
        other_side = twin(name)
        pool = [other for other in self.seen if other not in (name, other_side)]
        drawn = [pool[k] for k in self.random.permutation(len(pool))[: self.random.integers(1, 4)]]
        return [other_side, *drawn[:2]] if other_side and self.random.random() < 0.6 else drawn

    def _any(self, *ways: str) -> str:
        return ways[self.random.integers(len(ways))]

    def _box(self, name: str) -> str:
        return write_box(self.boxes[name], flat=self.flat)

    def _numbers(self, name: str) -> str:
        return numbers(self.boxes[name], flat=self.flat)


def _in_model_space(question: Question, scene: Scene) -> Question:
    to_model = scene.prepared.frame.to_model
    rationale = tuple(replace(remark, box=remark.box and to_model(remark.box)) for remark in question.rationale)
    return replace(question, rationale=rationale, regions=tuple(map(to_model, question.regions)))


def _asked(question: Question) -> str:
    return question_text(question, question.regions)


def _right(question: Question) -> str:
    """The right option's line."""
    assert question.answer is not None
    return f"{question.letter}. {filled_options(question, question.regions)[question.answer]}"
