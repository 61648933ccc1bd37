"""Shards: studies and questions on disk, sealed so that no later step reads other bytes than were written.

    <folder>/<split>/studies-00000.parquet, …   voxels with their frame, a row a study
    <folder>/<split>/questions.parquet          a row a question
    <folder>/manifest.json                      SHA-256 of every other file in the folder

Voxels are raw little-endian bytes in C order, compressed by parquet. Same rows, same bytes. `read_*`
trust the folder: a step calls `verify` once before it reads.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.imaging.volume import Volume
from model.interface.errors import BadInput, Integrity
from model.interface.question import Question

MANIFEST = "manifest.json"
SHARD_BYTES = 128 * 2**20
"""Voxel bytes, before compression, after which a new shard is begun."""
ROW_GROUP = 16
"""Rows that are compressed, and read, together."""

STUDY = pa.schema(
    {
        "id": pa.string(),
        "subject": pa.string(),
        "split": pa.string(),
        "contrast": pa.string(),
        "group": pa.string(),
        "licence": pa.string(),
        "provenance": pa.string(),
        "modality": pa.string(),
        "frame_known": pa.bool_(),
        "spacing_known": pa.bool_(),
        "plane": pa.string(),
        "warnings": pa.list_(pa.string()),
        "affine": pa.list_(pa.float64()),
        "shape": pa.list_(pa.int32()),
        "dtype": pa.string(),
        "voxels": pa.binary(),
    }
)
_BOX = pa.struct({"low": pa.list_(pa.float64()), "high": pa.list_(pa.float64())})
_REMARK = pa.struct({"text": pa.string(), "box": _BOX, "names": pa.string(), "kind": pa.string()})
QUESTION = pa.schema(
    {
        "id": pa.string(),
        "study": pa.string(),
        "subject": pa.string(),
        "split": pa.string(),
        "dimension": pa.int32(),
        "family": pa.string(),
        "text": pa.string(),
        "options": pa.list_(pa.string()),
        "answer": pa.int32(),
        "regions": pa.list_(_BOX),
        "contrast": pa.string(),
        "rationale": pa.list_(_REMARK),
        "laterality": pa.bool_(),
        "licence": pa.string(),
        "provenance": pa.string(),
    }
)
"""Written down, not inferred: a column that is empty in one split has the same type in all."""


@dataclass(frozen=True, eq=False)
class Study:
    id: str
    subject: str
    """The person: splits are by subject, always."""
    split: str
    contrast: str
    volume: Volume
    group: str
    """The head it was cut from: studies of one head are not independent of each other."""
    licence: str
    provenance: str


def write_studies(folder: Path, split: str, studies: Iterable[Study]) -> None:
    """Write the studies of a split, in the order given, into as many shards as they need."""
    rows: list[dict[str, Any]] = []
    shard = held = 0
    for study in studies:
        rows.append(_row(study))
        held += study.volume.voxels.nbytes
        if held >= SHARD_BYTES:
            _write(folder / split / f"studies-{shard:05d}.parquet", rows, STUDY)
            rows, shard, held = [], shard + 1, 0
    if rows or not shard:
        _write(folder / split / f"studies-{shard:05d}.parquet", rows, STUDY)


def write_questions(folder: Path, split: str, questions: Iterable[Question]) -> None:
    """Write the questions of a split, in the order given."""
    _write(folder / split / "questions.parquet", [question.to_json() for question in questions], QUESTION)


def seal(folder: Path) -> str:
    """Write the manifest of all that is in the folder now; returns its own SHA-256, hex."""
    content = json.dumps({name: _sha256(folder / name) for name in _names(folder)}, indent=1) + "\n"
    with published(folder / MANIFEST) as part:
        part.write_text(content)
    return hashlib.sha256(content.encode()).hexdigest()


def verify(folder: Path) -> str:
    """Every file has the bytes it was sealed with and none was added; returns the manifest's SHA-256, hex."""
    if not (folder / MANIFEST).is_file():
        raise BadInput(
            "no sealed data here",
            where=f"{folder}/{MANIFEST}, found nothing, wanted a folder written by stage data",
            next="dvc repro data",
        )
    content = (folder / MANIFEST).read_bytes()
    sealed = _read_manifest(folder, content)
    for name in sorted({*sealed, *_names(folder)}):
        wanted = sealed.get(name, "no such file")
        found = _sha256(folder / name) if (folder / name).is_file() else "no file"
        if found != wanted:
            raise _changed(folder / name, f"SHA-256, found {found[:12]}, wanted {wanted[:12]}")
    return hashlib.sha256(content).hexdigest()


def read_studies(folder: Path, split: str) -> Iterator[Study]:
    """The studies of a split in the order written, a few in memory at a time."""
    for path in _shards(folder, split):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                for row in batch.to_pylist():
                    yield _study(row, path)


def read_questions(folder: Path, split: str) -> list[Question]:
    """The questions of a split in the order written."""
    path = folder / split / "questions.parquet"
    if not path.is_file():
        raise _absent(folder, split)
    return [Question.from_json(row) for row in pq.read_table(path).to_pylist()]


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """A scratch path whose file takes the name `path`, synced, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _row(study: Study) -> dict[str, Any]:
    volume = study.volume
    voxels = np.ascontiguousarray(volume.voxels, volume.voxels.dtype.newbyteorder("<"))
    return {
        "id": study.id,
        "subject": study.subject,
        "split": study.split,
        "contrast": study.contrast,
        "group": study.group,
        "licence": study.licence,
        "provenance": study.provenance,
        "modality": volume.modality,
        "frame_known": volume.frame_known,
        "spacing_known": volume.spacing_known,
        "plane": volume.plane,
        "warnings": volume.warnings,
        "affine": volume.affine.astype(float).ravel().tolist(),
        "shape": volume.shape,
        "dtype": voxels.dtype.str,
        "voxels": voxels.tobytes(),
    }


def _study(row: dict[str, Any], path: Path) -> Study:
    dtype, shape = np.dtype(row["dtype"]), tuple(row["shape"])
    wanted = int(np.prod(shape)) * dtype.itemsize
    if len(row["voxels"]) != wanted:
        raise _changed(path, f"study {row['id']}, found {len(row['voxels'])} bytes of voxels, wanted {wanted}")
    volume = Volume(
        voxels=np.frombuffer(row["voxels"], dtype).reshape(shape),
        affine=np.array(row["affine"]).reshape(4, 4),
        modality=row["modality"],
        frame_known=row["frame_known"],
        plane=row["plane"],
        warnings=tuple(row["warnings"]),
        spacing_known=row["spacing_known"],
    )
    told = {name: row[name] for name in ("id", "subject", "split", "contrast", "group", "licence", "provenance")}
    return Study(volume=volume, **told)


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    table = pa.Table.from_pylist(rows, schema)
    with published(path) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=ROW_GROUP, use_dictionary=False)


def _shards(folder: Path, split: str) -> list[Path]:
    found = sorted((folder / split).glob("studies-*.parquet"))
    if not found:
        raise _absent(folder, split)
    return found


def _names(folder: Path) -> list[str]:
    """Files of the folder that a manifest lists, relative, sorted."""
    files = (path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _read_manifest(folder: Path, content: bytes) -> dict[str, str]:
    try:
        sealed = json.loads(content)
    except ValueError as error:
        raise _changed(folder / MANIFEST, "not readable as JSON") from error
    if not isinstance(sealed, dict) or not all(isinstance(digest, str) for digest in sealed.values()):
        raise _changed(folder / MANIFEST, "found something else, wanted file names and digests")
    return sealed


def _changed(path: Path, detail: str) -> Integrity:
    return Integrity(
        "a data file does not match its manifest", where=f"{path}, {detail}", next="dvc repro --force data"
    )


def _absent(folder: Path, split: str) -> BadInput:
    known = sorted(path.parent.name for path in folder.glob("*/questions.parquet"))
    return BadInput(
        "no such split",
        where=f"{folder}/{split}, found none, known: {', '.join(known) or 'none'}",
        next="name one of the known splits, or run dvc repro data",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
