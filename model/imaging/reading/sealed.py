"""Shards of a data set, looked through once before anybody trusts them: `urm data check`.

`shards.verify` says that bytes are those that were sealed. This says that whoever sealed them sealed a data set:
columns, sizes and every row, nothing decoded beyond the limit.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.imaging.reading.files import LIMIT_MIB, bounded, refused
from model.imaging.shards import MANIFEST, QUESTION, STORED, STUDY, read_studies, verify
from model.interface.question import Question
from model.interface.strict_json import read_json

AGAIN = "urm data build"
ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What a row raises that isn't one."""


def check(folder: Path) -> None:
    """Raises Integrity (other bytes than were sealed) or BadInput (no data set), naming the file."""
    manifest = folder / MANIFEST
    if manifest.is_file() and not _is_manifest(read_json(manifest)):
        raise _refused(manifest, "damaged manifest", "names", "something else", "{file: SHA-256}")
    verify(folder)
    for path in sorted(folder.glob("*-questions.parquet")):
        _check_questions(path)
    for path in sorted(folder.glob("*-studies.parquet")):
        _check_studies(path)


def _is_manifest(row: Any) -> bool:
    """Plain names, each with a digest."""
    return isinstance(row, dict) and all(
        isinstance(told, str) and Path(name).name == name != ".." for name, told in row.items()
    )


def _check_questions(path: Path) -> None:
    with _table(path, QUESTION, "question") as file:
        total = 0
        for batch in file.iter_batches(columns=["question"]):
            total += int(_lengths(batch["question"]).sum())
            if total > LIMIT_MIB << 20:
                found = f"more than {LIMIT_MIB} MiB once decoded"
                raise _refused(path, "the file is over the size limit", "question", found, f"up to {LIMIT_MIB} MiB")
            for text in batch["question"].to_pylist():
                _check_question(path, text)


def _check_question(path: Path, text: str) -> None:
    try:
        Question.from_json(json.loads(text))
    except ODD as error:
        found = f"{type(error).__name__} ({error!s:.80})"
        raise _refused(path, "a row that is no question", "question", found, "a question in JSON") from error


def _check_studies(path: Path) -> None:
    with _table(path, STUDY, "voxels") as file:
        for batch in file.iter_batches(columns=["dtype", "shape", "voxels"], batch_size=1):
            [dtype], [shape], [size] = batch["dtype"].to_pylist(), batch["shape"].to_pylist(), _lengths(batch["voxels"])
            if dtype not in STORED:
                raise _refused(path, "voxels of another type", "dtype", dtype, f"one of {', '.join(STORED)}")
            wanted = bounded(path, tuple(shape or ()), np.dtype(dtype).itemsize)
            if size not in (wanted, 3 * wanted):  # grey, or colours
                raise _refused(path, "not the voxels of that shape", "voxels", f"{size} bytes", f"{wanted}")
    try:
        for _ in read_studies(path.parent, path.name.removesuffix("-studies.parquet")):
            pass
    except ODD as error:
        raise _refused(path, "a row that is no study", "row", str(error), "a study") from error


@contextmanager
def _table(path: Path, schema: pa.Schema, shared: str) -> Iterator[pq.ParquetFile]:
    """An open file of that schema. shared: the column whose entries rows may share, kept so: a dictionary is a bomb."""
    if not path.stat().st_size:
        raise _refused(path, "the file is empty", "size", "0 bytes", "parquet")
    try:
        _check_columns(path, pq.read_schema(path), schema)
        with pq.ParquetFile(path, read_dictionary=[shared]) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        field = "footer" if "footer" in str(error).lower() or "magic" in str(error).lower() else "pages"
        raise _refused(path, "the file is damaged", field, "damage", "whole parquet") from error


def _check_columns(path: Path, found: pa.Schema, wanted: pa.Schema) -> None:
    if missing := [name for name in wanted.names if name not in found.names]:
        told = f"no {', '.join(missing)}"
        raise _refused(path, "a column is missing", "columns", told, ", ".join(wanted.names))
    for field in wanted:
        if not found.field(field.name).type.equals(field.type):
            raise _refused(path, "a column of another kind", field.name, found.field(field.name).type, str(field.type))


def _lengths(column: pa.DictionaryArray) -> np.ndarray:
    """int64[rows]: bytes of each value, none of them copied."""
    lengths = (
        pc.fill_null(pc.call_function("binary_length", [column.dictionary]), 0)
        .to_numpy(zero_copy_only=False)
        .astype(np.int64)
    )
    return lengths[column.indices.fill_null(0).to_numpy(zero_copy_only=False)] if len(lengths) else np.zeros(0, int)


def _refused(path: Path, what: str, field: str, found: object, wanted: str) -> Exception:
    return refused(path, what, field=field, found=found, wanted=wanted, next=AGAIN)
