"""Lessons of the base model: short questions and answers about names and places.

A lesson is a branch behind a scene's pictures. They teach to find what is named, to name what is
found, to say that something is not there, and to answer with an option; no reasoning, no crops:
those are what SFT adds.
"""

from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np

from model.interface.boxes import Box
from model.interface.grammar import TURN_END, numbers, write_box
from model.interface.prompt import user_text

Lesson = tuple[str, str]
"""(user text, assistant text)"""


class Teacher:
    """Draws lessons about one scene."""

    def __init__(
        self,
        boxes: dict[str, Box],
        absent: Sequence[str],
        lesions: Sequence[str],
        *,
        flat: bool,
        random: np.random.Generator,
    ) -> None:
        self.boxes, self.absent, self.lesions, self.flat, self.random = boxes, absent, set(lesions), flat, random
        self.seen = list(boxes)
        self.seen_lesions = [name for name in self.seen if name in self.lesions]

    def lessons(self, n: int) -> list[Lesson]:
        """n lessons, about half of the locating ones about a lesion where there is one."""
        kinds = [
            self.locate,
            self.locate,
            self.locate,
            self.name,
            self.choose_name,
            self.choose_box,
            self.presence,
            self.choose_presence,
            self.side,
            self.kind,
        ]
        drawn = [kinds[k]() for k in self.random.integers(0, len(kinds), n)] if self.seen else []
        return [lesson for lesson in drawn if lesson is not None]

    def locate(self) -> Lesson:
        name = self._one()
        asked = self._any(f"Where is the {name}?", f"Locate the {name}.")
        return asked, f"{self._box(name)}{TURN_END}"

    def name(self) -> Lesson:
        name = self._one()
        return f"What is at {self._numbers(name)}?", f"{name}{TURN_END}"

    def choose_name(self) -> Lesson | None:
        name = self._one()
        return self._choice(f"What is at {self._numbers(name)}?", name, self._others(name), "")

    def choose_box(self) -> Lesson | None:
        name = self._one()
        wrong = [self._numbers(other) for other in self._others(name, seen=True)]
        return self._choice(f"Which box holds the {name}?", self._numbers(name), wrong, self._box(name) + " ")

    def presence(self) -> Lesson | None:
        if self.random.random() < 0.5:
            name = self._one()
            return self._any(
                f"Is the {name} seen?", f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name}?"
            ), f"Yes {self._box(name)}{TURN_END}"
        name = self._missing()
        if name is None:
            return None
        asked = self._any(f"Is the {name} seen?", f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name}?")
        return asked, f"No{TURN_END}"

    def choose_presence(self) -> Lesson | None:
        name = self._one() if self.random.random() < 0.5 else self._missing()
        if name is None:
            return None
        there = name in self.boxes
        led = self._box(name) + " " if there else ""
        return self._choice(
            self._any(f"Is the {name} seen?", f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name}?"),
            *(("Yes", ["No"]) if there else ("No", ["Yes"])),
            led,
        )

    def side(self) -> Lesson | None:
        """A structure's twin is named by its side; a lesson in which box is the left one."""
        name = self._one()
        first, _, rest = name.partition(" ")
        if first not in ("left", "right"):
            return None
        twin = f"{'right' if first == 'left' else 'left'} {rest}"
        if twin not in self.boxes:
            return None
        return self._choice(f"What is at {self._numbers(name)}?", name, [twin], "")

    def kind(self) -> Lesson | None:
        """What lesion is there, and where."""
        if not self.seen_lesions:
            missing = [name for name in self.absent if name in self.lesions]
            return ("Where is the lesion?", f"None{TURN_END}") if len(missing) == len(self.lesions) else None
        if len(self.seen_lesions) > 1:
            return None
        name = self.seen_lesions[0]
        wrong = sorted(self.lesions - {name})
        if self.random.random() < 0.5:
            return "Where is the lesion?", f"{self._box(name)} {name}{TURN_END}"
        chosen = [wrong[k] for k in self.random.permutation(len(wrong))[:3]]
        return self._choice("What kind of lesion is seen?", name, chosen, self._box(name) + " ")

    def _one(self) -> str:
        if self.seen_lesions and self.random.random() < 0.4:
            return self.seen_lesions[self.random.integers(len(self.seen_lesions))]
        return self.seen[self.random.integers(len(self.seen))]

    def _missing(self) -> str | None:
        """Something absent, a lesion as often as a structure."""
        lesions = [name for name in self.absent if name in self.lesions]
        structures = [name for name in self.absent if name not in self.lesions]
        pool = lesions if lesions and (not structures or self.random.random() < 0.6) else structures
        return pool[self.random.integers(len(pool))] if pool else None

    def _others(self, name: str, *, seen: bool = False) -> list[str]:
        first, _, rest = name.partition(" ")
        twin = {"left": f"right {rest}", "right": f"left {rest}"}.get(first)
        pool = [other for other in self.seen if other not in (name, twin)]
        drawn = [pool[k] for k in self.random.permutation(len(pool))[: self.random.integers(1, 4)]]
        if twin and (twin in self.boxes or not seen) and self.random.random() < 0.6:
            drawn = [twin, *drawn[:2]]
        return drawn

    def _choice(self, text: str, right: str, wrong: list[str], led: str) -> Lesson | None:
        """Options in random order; the answer is the right one's letter and text, behind what leads there."""
        options = list(dict.fromkeys([right, *wrong]))
        if len(options) < 2:
            return None
        options = [options[k] for k in self.random.permutation(len(options))]
        letter = ascii_uppercase[options.index(right)]
        return user_text(text, tuple(options)), f"{led}{letter}. {right}{TURN_END}"

    def _any(self, *ways: str) -> str:
        return ways[self.random.integers(len(ways))]

    def _box(self, name: str) -> str:
        return write_box(self.boxes[name], flat=self.flat)

    def _numbers(self, name: str) -> str:
        return numbers(self.boxes[name], flat=self.flat)
