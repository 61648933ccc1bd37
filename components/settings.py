"""Reading `params.yaml`: one section a step, each a frozen pydantic class that owns its defaults."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from model.interface.errors import BadInput

FILE = Path("params.yaml")
SECTIONS = (
    "data",
    "cot",
    "base",
    "sft",
    "rl",
    "evaluate",
    "confidence",
    "consistency",
    "audit",
    "gate",
    "drift",
)

LARGEST = 1 << 16
"""Characters of the file."""
DEEPEST = 32
"""Maps and lists in one another."""


class _Refused(yaml.constructor.ConstructorError):
    pass


class _Plain(yaml.SafeLoader):
    """Maps, lists and scalars written out once: a key given twice or an alias is a slip, or a bomb."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise _Refused(None, None, "an alias", mark)
        if self.depth > DEEPEST:
            raise _Refused(None, None, f"values nested more than {DEEPEST} deep", mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(None, None, "a key that is no word", key.start_mark)
            if key.value in seen:
                raise _Refused(None, None, f"the key '{key.value}' twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


Config = TypeVar("Config", bound=BaseModel)


def load(section: str, cls: type[Config], file: Path = FILE, said: Mapping[str, Any] | None = None) -> Config:
    """The config of a step: its defaults, changed by what the section of `file` says, and by what is `said` besides.

    An absent file or section means all defaults. Unknown sections and keys and wrong values raise `BadInput`.
    """
    told = sections(file)
    if unknown := sorted(map(str, set(told) - {*SECTIONS, section})):
        raise _unknown(file, f"unknown section '{unknown[0]}'", unknown[0], unknown[0], SECTIONS)
    rows = told.get(section) or {}
    if not isinstance(rows, dict):
        raise _bad(file, section, f"section '{section}' is none", f"{rows!r:.80}", "key: value lines")
    try:
        return cls(**rows | dict(said or {}))
    except ValidationError as error:
        raise _first_complaint(file, section, cls, error) from error


def sections(file: Path = FILE) -> dict[str, Any]:
    """All sections of the file, unchecked; {} when it is absent."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "bytes that are not UTF-8"
        raise _bad(file, "", "the file can't be read", reason, "a file of UTF-8") from error
    if len(text) > LARGEST:
        raise _bad(file, "", "the file is too large", f"{len(text)} characters", f"up to {LARGEST}")
    try:
        rows = yaml.load(text, _Plain)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        found = str(error.problem) if isinstance(error, _Refused) else "something else"
        line = f"line {place.line + 1}" if place else ""
        raise _bad(file, line, "not readable as YAML", found, "maps, lists and values written out once") from error
    if not isinstance(rows or {}, dict):
        raise _bad(file, "", "the file holds no sections", f"a {type(rows).__name__}", "sections")
    return rows or {}


def _first_complaint(file: Path, section: str, cls: type[BaseModel], error: ValidationError) -> BadInput:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    where = f"{section}.{key}" if key else section
    if first["type"] == "extra_forbidden":
        return _unknown(file, f"unknown key '{key}' in section '{section}'", where, key, tuple(cls.model_fields))
    wanted = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return _bad(file, where, f"{where} can't be used", f"{first['input']!r:.80}", wanted)


def _unknown(file: Path, what: str, where: str, name: str, known: Sequence[str]) -> BadInput:
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return _bad(file, where, what + hint, f"'{name:.80}'", f"one of {', '.join(known)}")


def _bad(file: Path, where: str, what: str, found: str, wanted: str) -> BadInput:
    place = f"{file}, {where}" if where else str(file)
    return BadInput(what, where=f"{place}: found {found}, wanted {wanted}", next=f"mend {file} and run again")
