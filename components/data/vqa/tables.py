"""Rows of the tables that sets are published as, one at a time: CSV, JSON, JSON lines, parquet.

A file that is missing, damaged, or lacks a column raises BadInput, which names file, row and column. No file is held in
memory whole, and nothing is guessed: numbers stay the text they were written as in CSV.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from json import JSONDecoder
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.sources.listing import existing
from model.interface.errors import BadInput

CHUNK = 1 << 18
"""Characters read of a JSON file at a time."""
LONGEST_ENTRY = 1 << 22
"""Characters of one entry of a JSON list, or of one line."""
AFTER = tuple(",:]} \t\r\n")
"""What a value of JSON ends before."""
BATCH = 64
"""Rows of a parquet file that are in memory at a time; they may hold pictures."""

Row = Mapping[str, Any]


def csv_rows(root: Path, name: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(row, counted from 1 without the header; its cells). columns: those that must be there."""
    path = existing(root, name)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(name, reader.fieldnames or (), columns)
            for k, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    raise as_published(name, f"row {k}", "another number of cells", f"{len(reader.fieldnames or ())}")
                yield k, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise as_published(name, "CSV", str(error)[:80], "a whole table in UTF-8") from error


def json_rows(root: Path, name: str, columns: Sequence[str], key: str = "") -> Iterator[tuple[int, Row]]:
    """(row, from 1; its object) of a list. key: where the list stands in an object, "" where it is the file."""
    path = existing(root, name)
    with _text(path, name) as file:
        entries = _Entries(file, name)
        entries.enter(key)
        for k, entry in enumerate(entries.of_list(), 1):
            yield k, _checked(entry, name, k, columns)


def json_lines(root: Path, name: str, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """(line, from 1; its object). Empty lines are passed over."""
    path = existing(root, name)
    with _text(path, name) as file:
        k = 0
        while line := _guarded(name, lambda: file.readline(LONGEST_ENTRY)):
            k += 1
            if line.strip():
                entries = _Entries(file, name)
                entry, end = entries.decoded(line.strip(), 0, f"line {k}")
                if line.strip()[end:]:
                    raise as_published(name, f"line {k}", "more than one value", "an object a line")
                yield k, _checked(entry, name, k, columns)


def parquet_rows(root: Path, name: str, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """(row, from 0; the cells asked for)."""
    try:
        with pq.ParquetFile(existing(root, name)) as file:
            _check_columns(name, file.schema_arrow.names, columns)
            k = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=list(columns)):
                for row in batch.to_pylist():
                    yield k, row
                    k += 1
    except (pa.ArrowException, OSError) as error:
        raise as_published(name, "parquet", type(error).__name__, "a whole parquet file") from error


def parquet_names(root: Path, folder: str, start: str) -> list[str]:
    """Files of a split, below root, in order; raises BadInput where there is none."""
    found = sorted((root / folder).glob(f"{start}-*.parquet"))
    if not found:
        raise as_published(f"{folder}/{start}-*.parquet", "files", "none", "one or more")
    return [path.relative_to(root).as_posix() for path in found]


def words(row: Row, column: str, name: str, k: int) -> str:
    """A cell that must be text, without the spaces around it; raises BadInput. It may be empty."""
    value = row[column]
    if not isinstance(value, str):
        raise as_published(name, f"row {k}, {column}", type(value).__name__, "text")
    return value.strip()


def as_published(name: str, field: str, found: object, wanted: object) -> BadInput:
    """Something is there, and isn't what the set was published as."""
    where = f"{name}, {field}: found {found}, wanted {wanted}"
    return BadInput("not the layout of this set", where=where, next="compare the folder with docs/vqa_sets.md")


class _Entries:
    """A JSON text read entry by entry, as little of it in memory as one entry needs."""

    def __init__(self, file: TextIO, name: str) -> None:
        self.file, self.name = file, name
        self.text, self.at = "", 0
        self.decoder = JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)

    def enter(self, key: str) -> None:
        """Go to where the list begins."""
        if key:
            self.expect("{")
            while self.value("a key") != key:
                self.expect(":")
                self.value("a value")
                if self.next() != ",":
                    raise as_published(self.name, "JSON", f"no {key!r}", f"{key!r} and its list")
                self.at += 1
            self.expect(":")
        self.expect("[")

    def of_list(self) -> Iterator[Any]:
        if self.next() == "]":
            return
        k = 0
        while True:
            k += 1
            yield self.value(f"entry {k}")
            if self.next() == "]":
                return
            self.expect(",")

    def next(self) -> str:
        """The next character that is no space, not taken; "" at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, wanted: str) -> None:
        if (found := self.next()) != wanted:
            told = repr(found) if found else "its end"
            raise as_published(self.name, "JSON", told, repr(wanted))
        self.at += 1

    def value(self, what: str) -> Any:
        self.next()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except (json.JSONDecodeError, IndexError):
                if len(self.text) - self.at > LONGEST_ENTRY or not self.more():
                    raise as_published(self.name, what, "damaged or endless JSON", "a whole value") from None
                continue
            except (ValueError, RecursionError) as error:
                raise as_published(self.name, what, str(error)[:80], "a JSON value") from error
            after = self.text[end : end + 1]
            # a number may go on in the next piece: "1" of "1.5", "1." too
            whole = bool(after) and (after in AFTER or not isinstance(value, int | float))
            if whole or len(self.text) - self.at > LONGEST_ENTRY or not self.more():
                self.at = end
                return value

    def decoded(self, text: str, at: int, what: str) -> tuple[Any, int]:
        try:
            return self.decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise as_published(self.name, what, str(error)[:80], "a JSON value") from error

    def more(self) -> bool:
        piece = _guarded(self.name, lambda: self.file.read(CHUNK))
        self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)


def _text(path: Path, name: str) -> TextIO:
    if path.stat().st_size == 0:
        raise as_published(name, "JSON", "0 bytes", "JSON")
    return path.open(encoding="utf-8-sig")


def _guarded(name: str, read: Any) -> str:
    try:
        return read()
    except UnicodeDecodeError as error:
        raise as_published(name, "text", f"a bad byte at {error.start}", "UTF-8") from error


def _checked(entry: Any, name: str, k: int, columns: Sequence[str]) -> Row:
    if not isinstance(entry, dict):
        raise as_published(name, f"row {k}", type(entry).__name__, "an object")
    lacking = [column for column in columns if column not in entry]
    if lacking:
        raise as_published(name, f"row {k}", f"no {', '.join(lacking)}", ", ".join(columns))
    return entry


def _check_columns(name: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    lacking = [column for column in wanted if column not in found]
    if lacking:
        raise as_published(name, "columns", f"no {', '.join(lacking)}", ", ".join(wanted))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError("a key twice")
    return out


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name}, which is no finite number")
