"""Reading `params.yaml`: one section a step, each a frozen pydantic class that owns its defaults."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from model.interface.errors import BadInput

FILE = Path("params.yaml")
SECTIONS = ("data", "cot", "base", "sft", "rl", "evaluate", "gate", "drift")

LARGEST = 1 << 16
"""Characters of the file."""


class _Refused(yaml.constructor.ConstructorError):
    pass


class _Plain(yaml.SafeLoader):
    """Maps, lists and scalars written out once: a key given twice or an alias is a slip, or a bomb."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise _Refused(None, None, "an alias, expected values written out", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise _Refused(None, None, f"the key '{key.value}' twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


Config = TypeVar("Config", bound=BaseModel)


def load(section: str, cls: type[Config], file: Path = FILE) -> Config:
    """The config of a step: its defaults, changed by what the section of `file` says.

    An absent file or section means all defaults. Unknown sections and keys and wrong values raise `BadInput`.
    """
    told = sections(file)
    if unknown := sorted(map(str, set(told) - {*SECTIONS, section})):
        near = get_close_matches(unknown[0], SECTIONS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(SECTIONS)}"
        raise _bad(file, unknown[0], f"unknown section '{unknown[0]}'; {hint}")
    rows = told.get(section) or {}
    if not isinstance(rows, dict):
        raise _bad(file, section, f"section '{section}' is {rows!r}, expected key: value lines")
    try:
        return cls(**rows)
    except ValidationError as error:
        raise _bad(file, *_first_complaint(section, cls, error)) from error


def sections(file: Path = FILE) -> dict[str, Any]:
    """All sections of the file, unchecked; {} when it is absent."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise _bad(file, "", f"the file can't be read: {reason}") from error
    if len(text) > LARGEST:
        raise _bad(file, "", f"the file holds {len(text)} characters, expected up to {LARGEST}")
    try:
        rows = yaml.load(text, _Plain)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        why = f": {error.problem}" if isinstance(error, _Refused) else ""
        raise _bad(file, f"line {place.line + 1}" if place else "", f"not readable as YAML{why}") from error
    if not isinstance(rows or {}, dict):
        raise _bad(file, "", f"the file holds a {type(rows).__name__}, expected sections")
    return rows or {}


def _first_complaint(section: str, cls: type[BaseModel], error: ValidationError) -> tuple[str, str]:
    """(where, what) of the first thing wrong."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f"{section}.{key}" if key else section
    if first["type"] != "extra_forbidden":
        return where, f"{where} is {first['input']!r}: {first['msg']}"
    near = get_close_matches(key, cls.model_fields, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(cls.model_fields)}"
    return where, f"unknown key '{key}' in section '{section}'; {hint}"


def _bad(file: Path, where: str, what: str) -> BadInput:
    return BadInput(what, where=f"{file}, {where}" if where else str(file), next=f"mend {file} and run again")
