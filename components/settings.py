"""Reading `params.yaml`: one section a step, each a frozen pydantic class that owns its defaults."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from model.interface.errors import BadInput

FILE = Path("params.yaml")
SECTIONS = ("data", "base", "sft", "rl", "evaluate", "gate", "drift")

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
    if not file.exists():
        return {}
    try:
        rows = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        raise _bad(file, f"line {place.line + 1}" if place else "", "not readable as YAML") from error
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
