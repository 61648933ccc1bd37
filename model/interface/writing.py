"""Files written whole or not at all: beside their place, flushed to the disk, then renamed; and a file's digest."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.interface.errors import BadInput


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` once everything is on disk; after an error `path` is as it was.

    Raises BadInput where nothing can be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise IsADirectoryError if path.is_dir() else PermissionError
    except OSError as error:
        found = "a folder" if path.is_dir() else type(error).__name__
        raise BadInput(
            "the file can't be written", where=f"{path}: found {found}, wanted a place for a file", next="name another"
        ) from error
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
