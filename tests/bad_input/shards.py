"""Malformed shards of a data set: damaged after they were sealed, or sealed with something wrong in them."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.imaging import shards
from model.imaging.volume import Volume
from model.interface.question import Question
from tests.bad_input.case import READ, Case, Verdict
from tests.bad_input.openers import SHARDS

Change = Callable[[Path], None]
QUESTIONS, STUDIES = "train-questions.parquet", "train-studies.parquet"


def saved(folder: Path) -> Path:
    """A sealed data set of one study and one question."""
    place = folder / "data"
    voxels = np.random.default_rng(0).integers(0, 255, (8, 9, 10), dtype=np.uint8)
    volume = Volume(voxels, np.eye(4), "MR", True, "axial")
    study = shards.Study("s0", "p0", "train", "T1", volume, "h0", "CC BY 4.0", "painted")
    asked = Question("q0", "s0", "p0", "train", 3, "size comparison", "Which?", ("a", "b"), 1)
    shards.write_studies(place, "train", [study])
    shards.write_questions(place, "train", [asked])
    shards.seal(place)
    return place


def damaged(change: Change) -> Callable[[Path], Path]:
    """Changed after the folder was sealed."""

    def build(folder: Path) -> Path:
        place = saved(folder)
        change(place)
        return place

    return build


def sealed(change: Change) -> Callable[[Path], Path]:
    """Changed, and the folder sealed with it."""

    def build(folder: Path) -> Path:
        place = damaged(change)(folder)
        shards.seal(place)
        return place

    return build


def bytes_of(name: str, change: Callable[[bytes], bytes]) -> Change:
    def harm(place: Path) -> None:
        (place / name).write_bytes(change((place / name).read_bytes()))

    return harm


def flipped(raw: bytes) -> bytes:
    at = len(raw) // 4
    return raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]


def column(name: str, column: str, value: object) -> Change:
    """A column of the only row changed; None leaves it out."""

    def harm(place: Path) -> None:
        table = pq.read_table(place / name)
        at = table.schema.get_field_index(column)
        table = table.remove_column(at)
        if value is not None:
            table = table.add_column(at, column, [[value]])
        pq.write_table(table, place / name)

    return harm


def question(**changes: object) -> Change:
    """Keys of the only question changed."""

    def harm(place: Path) -> None:
        row = json.loads(pq.read_table(place / QUESTIONS)["question"][0].as_py())
        column(QUESTIONS, "question", json.dumps(row | changes))(place)

    return harm


def bomb(place: Path) -> None:
    """4000 questions of a quarter of a MiB, which share one entry of a dictionary."""
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4000, np.int32)), pa.array(["A" * (1 << 18)]))
    table = pa.table({name: words if name == "question" else [None] * 4000 for name in shards.QUESTION.names})
    table = table.cast(pa.schema([(f.name, words.type if f.name == "question" else f.type) for f in shards.QUESTION]))
    pq.write_table(table, place / QUESTIONS, compression="zstd", store_schema=False)


def page(place: Path) -> None:
    """The first page of the questions themselves, overwritten."""
    told = pq.read_metadata(place / QUESTIONS).row_group(0)
    [column] = [c for c in map(told.column, range(told.num_columns)) if c.path_in_schema == "question"]
    at = column.dictionary_page_offset or column.data_page_offset
    bytes_of(QUESTIONS, lambda raw: raw[: at + 30] + bytes(30) + raw[at + 60 :])(place)


def footer(raw: bytes) -> bytes:
    return raw[:-8] + struct.pack("<I", 0x7FFFFFFF) + raw[-4:]


ROWS: tuple[tuple[str, str, Callable[[Path], Path], tuple[str, ...]], ...] = (
    ("absent", "no folder", lambda folder: folder / "data", ("no data set here", "manifest.json")),
    ("unsealed", "a folder without a manifest", damaged(lambda place: (place / "manifest.json").unlink()),
     ("no data set here", "manifest.json")),
    ("byte", "one byte of a page changed", damaged(bytes_of(STUDIES, flipped)), (STUDIES, "SHA-256")),
    ("file gone", "a file missing", damaged(lambda place: (place / STUDIES).unlink()), (STUDIES, "no file")),
    ("file too many", "a file that came later", damaged(lambda place: (place / "val.parquet").touch()),
     ("val.parquet", "wanted no file")),
    ("manifest", "a manifest that ends early", damaged(bytes_of("manifest.json", lambda raw: raw[:30])),
     ("manifest.json",)),
    ("empty", "an empty file", sealed(bytes_of(QUESTIONS, lambda raw: b"")), (QUESTIONS, "empty")),
    ("no footer", "a file without its footer", sealed(bytes_of(QUESTIONS, lambda raw: raw[:-20])),
     (QUESTIONS, "footer")),
    ("footer", "a footer of 2 GiB claimed", sealed(bytes_of(QUESTIONS, footer)), (QUESTIONS, "footer")),
    ("page", "a page that can't be decoded", sealed(page), (QUESTIONS, "pages")),
    ("no column", "no column `question`", sealed(column(QUESTIONS, "question", None)),
     (QUESTIONS, "question", "family")),
    ("kind of column", "a column of another kind", sealed(column(STUDIES, "frame_known", "yes")),
     (STUDIES, "frame_known")),
    ("bomb", "a few kB that decode to a GB", sealed(bomb), (QUESTIONS, "512 MiB")),
    ("not JSON", "a question that is no JSON", sealed(column(QUESTIONS, "question", "{")), (QUESTIONS, "question")),
    ("no question", "JSON that is no question", sealed(column(QUESTIONS, "question", "{}")), (QUESTIONS, "question")),
    ("answer", "an answer that isn't offered", sealed(question(answer=7)), (QUESTIONS, "answer 7")),
    ("options", "a single option", sealed(question(options=["a"], answer=0)), (QUESTIONS, "1 options")),
    ("region", "a region that is no box", sealed(question(regions=[{"low": [9, 0, 0], "high": [1, 1, 1]}])),
     (QUESTIONS, "not a box")),
    ("voxels", "fewer voxels than the shape says", sealed(column(STUDIES, "voxels", bytes(9))), (STUDIES, "voxels")),
    ("dtype", "voxels of Python objects", sealed(column(STUDIES, "dtype", "object")), (STUDIES, "dtype")),
    ("shape", "a shape beyond all", sealed(column(STUDIES, "shape", [2**30, 2**30, 2**30])), (STUDIES,)),
    ("modality", "a modality nobody knows", sealed(column(STUDIES, "modality", "PET")), (STUDIES, "PET")),
)  # fmt: skip


def case(name: str, wrong: str, build: Callable[[Path], Path], words: tuple[str, ...], verdict: Verdict) -> Case:
    return Case(f"shards: {name}", wrong, build, words, verdict, SHARDS)


CASES: list[Case] = [*(case(*row, "refused") for row in ROWS), case("good", "nothing", saved, (), READ)]
