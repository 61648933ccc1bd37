"""Lessons of the base model: short questions and answers about names and places.

A lesson is a branch behind a scene's pictures. They teach to find what is named, to name what is
found, to say that something is not there, and to answer the six families of questions by pointing
first and choosing then. No reasoning, no crops: those are what SFT adds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np

from components.training.base.scenes import Scene, twin
from components.training.examples import answer_of
from model.interface.boxes import Box
from model.interface.grammar import TURN_END, numbers, write_box
from model.interface.prompt import question_text, user_text
from model.interface.question import Question

ILL = 0.4
"""Share of lessons about one thing that are about a lesion, where there is one."""


@dataclass(frozen=True, slots=True)
class Lesson:
    text: str
    """What the user says."""
    answer: str
    named: tuple[str, ...] = ()
    """What each box of the answer is drawn around."""
    seen: str = ""
    """What the first word of the answer depends on seeing; "" where nothing is there to see."""


class Teacher:
    """Draws lessons about one scene."""

    def __init__(self, scene: Scene, names: Sequence[str], random: np.random.Generator) -> None:
        self.random, self.flat = random, scene.dimension == 2
        self.boxes = scene.boxes(names)
        self.absent = scene.absent(names)
        self.seen, self.lesions = list(self.boxes), list(scene.lesions)
        by_family: dict[str, list[Lesson]] = {}
        for question in scene.questions:
            by_family.setdefault(question.family, []).append(self._asked(question, scene))
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
        return Lesson(text, f"{letter}. {name}{TURN_END}", seen=name)

    def presence(self) -> Lesson:
        there = not self.absent or self.random.random() < 0.5
        name = self._one() if there else self.absent[self.random.integers(len(self.absent))]
        text = self._any(f"Is the {name} seen?", f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name}?")
        if there:
            return Lesson(text, f"Yes {self._box(name)}{TURN_END}", (name,), name)
        return Lesson(text, f"No{TURN_END}")

    def question(self) -> Lesson:
        family = self.families[self.random.integers(len(self.families))]
        return family[self.random.integers(len(family))]

    def _asked(self, question: Question, scene: Scene) -> Lesson:
        """A question of the six families, answered by its boxes and the right option."""
        frame = scene.prepared.frame
        pointed: list[tuple[str, Box]] = [(r.names, frame.to_model(r.box)) for r in question.rationale if r.box]
        places = tuple(frame.to_model(region) for region in question.regions)
        led = "".join(f"{write_box(box, flat=self.flat)} " for _, box in pointed)
        answer = f"{led}{'. '.join(answer_of(question, places))}{TURN_END}"
        return Lesson(question_text(question, places), answer, tuple(name for name, _ in pointed))

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
