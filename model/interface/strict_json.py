"""JSON from outside, read strictly: what a lenient reader would guess at is refused."""

import json
from pathlib import Path
from typing import Any

from model.interface.errors import BadInput

LARGEST = 16 << 20
"""Bytes of a file."""
DEEPEST = 64
"""Arrays and objects in one another."""
LONGEST_NUMBER = 400
"""Digits."""


def read_json(path: Path) -> Any:
    """Read a file of UTF-8 JSON, with or without a byte-order mark; raises BadInput naming where it fails."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        raise _refused(path, "the file can't be opened", error.strerror or "unreadable", "a file") from error
    if not raw:
        raise _refused(path, "the file is empty", "0 bytes", "JSON")
    if len(raw) > LARGEST:
        raise _refused(path, "the file is too large", "more", f"up to {LARGEST >> 20} MiB")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _refused(path, "not UTF-8", "UTF-16", "UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(path, "not UTF-8", f"a bad byte at {error.start}", "UTF-8") from error
    _check_depth(path, text)
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_int, parse_float=_float
        )
    except json.JSONDecodeError as error:
        found = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise _refused(path, "not JSON", found, "whole JSON") from error
    except ValueError as error:
        raise _refused(path, "a value that can't be used", str(error), "JSON as RFC 8259 has it") from error
    if any("\ud800" <= letter <= "\udfff" for letter in json.dumps(value, ensure_ascii=False)):
        raise _refused(path, "a value that can't be used", "half a surrogate pair", "text")
    return value


def _check_depth(path: Path, text: str) -> None:
    depth = deepest = 0
    inside = escaped = False
    for letter in text:
        if inside:
            inside = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            inside = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    if deepest > DEEPEST:
        raise _refused(path, "nested too deep", f"nested {deepest} deep", f"up to {DEEPEST}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise ValueError(f"the key {key[:40]!r} twice")
        out[key] = value
    return out


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no finite number")


def _int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits, too long")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]}, which is no finite number")
    return value


def _refused(path: Path, what: str, found: str, wanted: str) -> BadInput:
    return BadInput(what, where=f"{path.name}: found {found}, wanted {wanted}", next="write the file again, and repeat")
