"""Any folder of images and label maps with a table of names: what a set without an adapter is copied or linked into.

    images/a.nii.gz   labels/a.nii.gz   names.json or names.tsv   subjects.tsv (may be missing)

Images and labels of any kind that `read_volume` reads, equal in name but for its suffix.

    names.json      {"1": "liver", "2": "liver tumour"}, or {"labels": {…}, "modality": "CT", "licence": "…"}
    names.tsv       a line a label: value, tab, name; an empty name leaves the value out
    subjects.tsv    a line a study: name without suffix, tab, subject, and perhaps tab, split

Without subjects.tsv each study is a person of its own, which is wrong where somebody was scanned twice.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import check_once, members, not_of_the_set
from components.data.sources.ontology import named_all
from components.data.sources.pairs import with_label_map
from model.imaging.reading.declared import Declared
from model.imaging.reading.files import SUFFIXES
from model.imaging.volume import MODALITIES
from model.interface.errors import BadInput
from model.interface.strict_json import read_json

NAME = "folder"
LICENCE = "not told: its owner knows"
SPLITS = ("train", "val", "test", "")
NAMED = 5
"""Files an error names."""


def cases(root: Path) -> Iterator[Case]:
    """Raises BadInput where labels or names are missing, or subjects.tsv doesn't fit the images."""
    images, labels = _by_stem(root, "images"), _by_stem(root, "labels")
    names, declared, licence = _table(root)
    _check_pairs(images, labels)
    subjects = _subjects(root, images)
    for study, image in images.items():
        subject, split = subjects[study]
        read = partial(_open, image, labels[study], names, declared)
        yield Case(NAME, subject, study, split, licence, (image, labels[study]), read)


def _open(image: Path, labels: Path, names: Mapping[int, str], declared: Declared) -> Labelled:
    return with_label_map(image, labels, names, declared, frameless="image")


def _by_stem(root: Path, name: str) -> dict[str, Path]:
    """What lies in a folder, by its name without suffix."""
    if not (root / name).is_dir():
        what = "no such folder" if not root.is_dir() else "a file" if (root / name).exists() else "none"
        raise BadInput(
            f"a part of the set is missing: folder {name}",
            where=f"{root}: found {what}, wanted images/, labels/ and names.json or names.tsv in it",
            next="lay the set out as docs/sources.md says, or name another folder",
        )
    paths = members(root / name, root, "*")
    stems = [_stem(path) for path in paths]
    check_once(stems, name)
    return dict(zip(stems, paths, strict=True))


def _check_pairs(images: Mapping[str, Path], labels: Mapping[str, Path]) -> None:
    """Raises BadInput that names a few of those which stand alone."""
    alone = [
        f"{path.parent.name}/{path.name} without {other}/{study}.*"
        for mine, theirs, other in ((images, labels, "labels"), (labels, images, "images"))
        for study, path in mine.items()
        if study not in theirs
    ]
    if alone:
        some = "; ".join(alone[:NAMED]) + ("; …" if len(alone) > NAMED else "")
        raise BadInput(
            "images and labels are not pairs",
            where=f"images, labels: found {some} ({len(alone)} in all), wanted both of each name",
            next="add the missing file, take the other away, or rename: names are equal but for the suffix",
        )


def _stem(path: Path) -> str:
    suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(suffix)]


def _table(root: Path) -> tuple[dict[int, str], Declared, str]:
    """(label value -> name, what the images are, licence)."""
    if (root / "names.tsv").is_file():
        return _names("names.tsv", dict(_lines(root / "names.tsv", 2))), Declared(), LICENCE
    path = root / "names.json"
    if not path.is_file():
        raise not_of_the_set("names.json", "file", "neither it nor names.tsv", "a table of label value -> name")
    stored = read_json(path)
    if not isinstance(stored, dict):
        raise not_of_the_set(path.name, "JSON", "no table", "label value -> name")
    if "labels" not in stored:
        return _names(path.name, stored), Declared(), LICENCE
    if strange := set(stored) - {"labels", "modality", "licence"}:
        raise not_of_the_set(path.name, "keys", ", ".join(sorted(strange)), "labels, modality and licence")
    names = stored["labels"] if isinstance(stored["labels"], dict) else {}
    modality, licence = stored.get("modality"), stored.get("licence", LICENCE)
    if modality is not None and (modality not in MODALITIES or not modality):
        raise not_of_the_set(path.name, "modality", repr(modality), f"one of {', '.join(filter(None, MODALITIES))}")
    if not isinstance(licence, str) or not licence.strip():
        raise not_of_the_set(path.name, "licence", repr(licence), "words")
    return _names(path.name, names), Declared(modality=modality), licence


def _names(where: str, stored: Mapping[str, Any]) -> dict[int, str]:
    if not stored or not all(value.isdecimal() and isinstance(name, str) for value, name in stored.items()):
        raise not_of_the_set(where, "labels", "another entry, or none", "label value -> name")
    if len({int(value) for value in stored}) < len(stored):
        raise not_of_the_set(where, "labels", "one value twice", "each value once")
    named = {int(value): name for value, name in stored.items()}
    named_all(named)  # what can't be told apart is refused before anything is read
    return named


def _subjects(root: Path, images: Mapping[str, Path]) -> dict[str, tuple[str, str]]:
    """Study -> (subject, split)."""
    path = root / "subjects.tsv"
    if not path.is_file():
        return {study: (study, "") for study in images}
    rows = {study: ((*rest, "")[0], (*rest, "")[1]) for study, *rest in _lines(path, 2, 3)}
    for study, (subject, split) in rows.items():
        if study not in images or not subject or split not in SPLITS:
            raise not_of_the_set(path.name, study, f"{subject!r}, {split!r}", "an image's name, a subject, and a split")
    if lost := sorted(set(images) - set(rows)):
        raise not_of_the_set(path.name, "lines", f"none of {lost[0]}", "one for each image")
    return rows


def _lines(path: Path, *columns: int) -> list[list[str]]:
    """Of a table with tabs, empty lines and those that begin with # left out."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_of_the_set(path.name, "text", f"a byte at {error.start} that isn't UTF-8", "UTF-8") from error
    rows = [line.split("\t") for line in text.splitlines() if line.strip() and line[0] != "#"]
    for row in rows:
        if len(row) not in columns:
            wanted = f"{' or '.join(map(str, columns))}, with tabs between"
            raise not_of_the_set(path.name, f"line of {row[0]!r}", f"{len(row)} columns", wanted)
    check_once((row[0] for row in rows), path.name)
    return [[cell.strip() for cell in row] for row in rows]
