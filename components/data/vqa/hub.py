"""Sets stored as parquet with the picture in each row: columns image {bytes, path}, question, answer.

    data/train-00000-of-00001-….parquet, …

An image that is in two splits belongs to the later of train, val and test: the earlier one's questions about it are
left out and named, for a model must not be trained on what it is tested on.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.data.sources.listing import existing
from components.data.vqa.item import Item, Report, sides_of, splits_asked
from components.data.vqa.options import BOTH, yes_or_no
from components.data.vqa.tables import Row, as_published, parquet_names, parquet_rows, words
from model.interface.errors import BadInput

COLUMNS = ("image", "question", "answer")


def hub_items(
    name: str, licence: str, files: Mapping[str, str], root: Path, split: str, report: Report, *, patient: bool
) -> Iterator[Item]:
    """files: split -> how its files' names begin, in the order train, val, test. patient: see `sides_of`."""
    for one in splits_asked(name, split, tuple(files)):
        later = _later(root, files, one)
        for file, k, row in _rows(root, files[one], COLUMNS):
            digest = _digest(row, file, k)
            place = f"{one}-{Path(file).stem.split('-')[1]}-{k}"
            text, said = words(row, "question", file, k), words(row, "answer", file, k)
            if digest in later:
                report.leave_out(place, f"its image is in {later[digest]} too")
            elif not (text and said):
                report.leave_out(place, "no question or no answer")
            else:
                report.used += 1
                closed = yes_or_no(said)
                yield Item(
                    source=name,
                    id=place,
                    subject=digest[:16],
                    images=(f"{file}#{k}",),
                    text=text,
                    options=() if closed is None else BOTH,
                    answer=closed,
                    answer_text=said if closed is None else BOTH[closed],
                    split=one,
                    family="closed" if closed is not None else "open",
                    modality="",
                    sides=sides_of(text, said, patient=patient),
                    licence=licence,
                )


def picture(root: Path, image: str) -> bytes:
    """The file's bytes of one of an item's images, inside a table or not; raises BadInput."""
    name, _, k = image.partition("#")
    if not k:
        return existing(root, image).read_bytes()
    for place, row in parquet_rows(root, name, ("image",)):
        if place == int(k):
            return _bytes(row, name, place)
    raise BadInput("no such picture", where=f"{image}: found fewer rows", next="read the items of this folder again")


def _later(root: Path, files: Mapping[str, str], split: str) -> dict[str, str]:
    """Digest -> split of the images of the splits after this one."""
    order: Sequence[str] = tuple(files)
    found: dict[str, str] = {}
    for other in order[order.index(split) + 1 :]:
        for file, k, row in _rows(root, files[other], ("image",)):
            found[_digest(row, file, k)] = other
    return found


def _rows(root: Path, start: str, columns: Sequence[str]) -> Iterator[tuple[str, int, Row]]:
    for file in parquet_names(root, "data", start):
        for k, row in parquet_rows(root, file, columns):
            yield file, k, row


def _bytes(row: Row, file: str, k: int) -> bytes:
    stored = row["image"]
    found = stored.get("bytes") if isinstance(stored, dict) else stored
    if not isinstance(found, bytes) or not found:
        raise as_published(file, f"row {k}, image", "no bytes", "{bytes, path} of a picture")
    return found


def _digest(row: Row, file: str, k: int) -> str:
    return hashlib.sha256(_bytes(row, file, k)).hexdigest()
