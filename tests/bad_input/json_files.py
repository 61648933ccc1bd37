"""Malformed JSON."""

import os
from pathlib import Path

from tests.bad_input.case import READ, Case, cases_of
from tests.bad_input.openers import JSON

FAULTS = (
    ("empty", "an empty file", b"", ("empty", "0 bytes")),
    ("NaN", "NaN for a number", b'{"answer": NaN}', ("NaN",)),
    ("infinite", "1e400, which becomes infinite", b"[1e400]", ("1e400", "finite")),
    ("deep", "arrays nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000, ("nested 100000 deep", "64")),
    ("twice", "a key twice", b'{"label": "A", "label": "B"}', ("label", "twice")),
    ("UTF-16", "UTF-16", '{"a": 1}'.encode("utf-16"), ("UTF-8", "UTF-16")),
    ("bad byte", "a byte that is no UTF-8", b'{"q": "\xff"}', ("UTF-8", "a bad byte at 7")),
    ("surrogate", "half a surrogate pair", rb'{"q": "\ud800"}', ("surrogate",)),
    ("digits", "a number of 5000 digits", b"[" + b"9" * 5000 + b"]", ("5000 digits", "too long")),
    ("ends early", "a file that ends inside an array", b'{"a":[1,2', ("line 1", "column 10")),
    ("two values", "a value behind the value", b"{} {}", ("Extra data", "column 4")),
    ("single quotes", "a Python dictionary", b"{'a': 1}", ("column 2",)),
    ("huge", "17 MiB", lambda: b" " * (17 << 20), ("16 MiB",)),
)


def folder(place: Path) -> Path:
    (place / "answer.json").mkdir()
    return place / "answer.json"


def absent(place: Path) -> Path:
    return place / "answer.json"


def pipe(place: Path) -> Path:
    os.mkfifo(place / "answer.json")
    return place / "answer.json"


CASES: list[Case] = [
    *cases_of("json", [(name, wrong, "answer.json", raw, words) for name, wrong, raw, words in FAULTS], opener=JSON),
    *cases_of("json", [("mark", "nothing: a byte-order mark", "answer.json", b"\xef\xbb\xbf{}", ())], READ, JSON),
    Case("json: folder", "a folder", folder, ("can't be opened",), opener=JSON),
    Case("json: absent", "no file", absent, ("can't be opened",), opener=JSON),
]
