"""Shards: a split of studies and its questions as two parquet files, sealed by a manifest of SHA-256.

    {split}-studies.parquet     a row a study: voxels, affine, where they come from
    {split}-questions.parquet   a row a question, in JSON, with the columns one filters by
    manifest.json               {file: SHA-256}, written last: a folder without it isn't finished

A large split comes in parts: {split}-00000-studies.parquet and so on, read one after the other.

Reading streams, a row group at a time, and checks nothing: `verify` does, once, before. Voxels are their
own bytes (C order, little endian) under zstd; noise is what's left, and neither differences nor byte
planes made it smaller.
"""

import json
import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.imaging.volume import SLICE_AXIS, Volume
from model.interface.errors import BadInput, Integrity
from model.interface.question import Question
from model.interface.writing import replacing, sha256, write_text

MANIFEST = "manifest.json"
ROW_GROUP = 32
"""Studies that are in memory at a time."""
STORED = ("uint8", "int16", "float32")

STUDY = pa.schema(
    [(name, pa.string()) for name in ("id", "subject", "split", "group", "contrast", "modality", "plane")]
    + [("frame_known", pa.bool_()), ("spacing_known", pa.bool_()), ("dtype", pa.string())]
    + [("shape", pa.list_(pa.int32(), 3)), ("affine", pa.list_(pa.float64(), 16)), ("voxels", pa.binary())]
    + [("warnings", pa.list_(pa.string())), ("licence", pa.string()), ("provenance", pa.string())]
)
QUESTION = pa.schema(
    [(name, pa.string()) for name in ("id", "study", "split", "family", "question")] + [("dimension", pa.int8())]
)


@dataclass(frozen=True, eq=False)
class Study:
    id: str
    subject: str
    """The person."""
    split: str
    contrast: str
    volume: Volume
    group: str
    """What its resampling unit is: the head it was cut from."""
    licence: str
    provenance: str


def studies_file(folder: Path, split: str) -> Path:
    return folder / f"{split}-studies.parquet"


def questions_file(folder: Path, split: str) -> Path:
    return folder / f"{split}-questions.parquet"


def write_studies(folder: Path, split: str, studies: Iterable[Study]) -> None:
    """Studies are taken from the iterable a row group at a time."""
    stream = iter(studies)
    with _writer(studies_file(folder, split), STUDY) as writer:
        while rows := [_study_row(study) for study in islice(stream, ROW_GROUP)]:
            writer.write_table(pa.Table.from_pylist(rows, STUDY), row_group_size=ROW_GROUP)


def read_studies(folder: Path, split: str) -> Iterator[Study]:
    """In the order they were written. Their voxels can't be written to."""
    for path in _parts(studies_file(folder, split)):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                for i in range(batch.num_rows):
                    yield _study({name: batch[name][i] for name in STUDY.names})


def list_studies(folder: Path, split: str) -> list[tuple[str, int]]:
    """(id, dimension) of each, in the order they were written; voxels aren't read."""
    tables = (pq.read_table(path, columns=["id", "shape", "plane"]) for path in _parts(studies_file(folder, split)))
    rows = (row for table in tables for row in table.to_pylist())
    return [(row["id"], 2 if row["shape"][SLICE_AXIS[row["plane"]]] == 1 else 3) for row in rows]


def pick_studies(folder: Path, split: str, places: Collection[int]) -> dict[int, Study]:
    """Those at these places of `list_studies`; row groups that hold none of them are passed over."""
    found, first = dict[int, Study](), 0
    for path in _parts(studies_file(folder, split)):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                behind = first + file.metadata.row_group(group).num_rows
                if wanted := {place for place in places if first <= place < behind}:
                    # a row at a time: voxels are views of their batch, and hold all of it
                    rows = file.iter_batches(batch_size=1, row_groups=[group])
                    for place, row in zip(range(first, max(wanted) + 1), rows, strict=False):
                        if place in wanted:
                            found[place] = _study({name: row[name][0] for name in STUDY.names})
                first = behind
    return found


def write_questions(folder: Path, split: str, questions: Iterable[Question]) -> None:
    rows = [
        {"id": q.id, "study": q.study, "split": q.split, "dimension": q.dimension, "family": q.family}
        | {"question": json.dumps(q.to_json(), separators=(",", ":"))}
        for q in questions
    ]
    with _writer(questions_file(folder, split), QUESTION) as writer:
        writer.write_table(pa.Table.from_pylist(rows, QUESTION))


def read_questions(folder: Path, split: str) -> list[Question]:
    tables = (pq.read_table(path, columns=["question"]) for path in _parts(questions_file(folder, split)))
    return [Question.from_json(json.loads(text)) for table in tables for text in table["question"].to_pylist()]


def seal(folder: Path) -> None:
    """Write the manifest of every file in the folder."""
    digests = {path.name: sha256(path) for path in sorted(folder.iterdir()) if _counts(path)}
    write_text(folder / MANIFEST, json.dumps(digests, indent=1) + "\n")


def digest(folder: Path) -> str:
    """Of a sealed folder: its manifest's, which holds every file's."""
    return sha256(folder / MANIFEST)


def verify(folder: Path) -> None:
    """Every file is there, has its bytes, and none came after sealing.

    Raises BadInput (nothing sealed here) or Integrity, which names the file.
    """
    if not (folder / MANIFEST).is_file():
        raise BadInput(
            "no data set here",
            where=f"{folder / MANIFEST}, found nothing, wanted a sealed folder",
            next="urm data build",
        )
    wanted: dict[str, str] = json.loads((folder / MANIFEST).read_text())
    for name in sorted(wanted.keys() | {path.name for path in folder.iterdir() if _counts(path)}):
        found = sha256(folder / name) if (folder / name).is_file() else "no file"
        if found != wanted.get(name):
            raise Integrity(
                "a data file does not match the manifest",
                where=f"{folder / name}, SHA-256, found {found[:12]}, wanted {wanted.get(name, 'no file')[:12]}",
                next="dvc checkout data, or urm data build",
            )


def _study_row(study: Study) -> dict[str, Any]:
    volume = study.volume
    dtype = volume.voxels.dtype.name
    if dtype not in STORED:
        raise ValueError(f"study {study.id}: voxels are {dtype}, known: {', '.join(STORED)}")
    return {
        "id": study.id,
        "subject": study.subject,
        "split": study.split,
        "group": study.group,
        "contrast": study.contrast,
        "modality": volume.modality,
        "plane": volume.plane,
        "frame_known": volume.frame_known,
        "spacing_known": volume.spacing_known,
        "dtype": dtype,
        "shape": list(volume.shape),
        "affine": volume.affine.astype(np.float64).ravel().tolist(),
        "voxels": np.ascontiguousarray(volume.voxels, volume.voxels.dtype.newbyteorder("<")).tobytes(),
        "warnings": list(volume.warnings),
        "licence": study.licence,
        "provenance": study.provenance,
    }


def _study(row: dict[str, Any]) -> Study:
    """From a row of arrow scalars."""
    told = {name: value.as_py() for name, value in row.items() if name != "voxels"}
    flat = np.frombuffer(row["voxels"].as_buffer(), np.dtype(told["dtype"]).newbyteorder("<"))
    volume = Volume(
        flat.reshape(*told["shape"], *([3] if flat.size == 3 * math.prod(told["shape"]) else [])),
        np.array(told["affine"]).reshape(4, 4),
        told["modality"],
        told["frame_known"],
        told["plane"],
        tuple(told["warnings"]),
        told["spacing_known"],
    )
    kept = {name: told[name] for name in ("id", "subject", "split", "contrast", "group", "licence", "provenance")}
    return Study(volume=volume, **kept)


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    with replacing(path) as part, pq.ParquetWriter(part, schema, compression="zstd", compression_level=3) as writer:
        yield writer


def part_of(split: str, k: int) -> str:
    """What stands for the split in the names of its k-th part's files."""
    return f"{split}-{k:05d}"


def _parts(path: Path) -> list[Path]:
    """The file, or its parts in order."""
    split, _, what = path.name.rpartition("-")
    found = [path] if path.is_file() else sorted(path.parent.glob(f"{split}-[0-9][0-9][0-9][0-9][0-9]-{what}"))
    if not found:
        raise BadInput("there is no such split", where=f"{path}, found no file", next="urm data build")
    return found


def _counts(path: Path) -> bool:
    return path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
