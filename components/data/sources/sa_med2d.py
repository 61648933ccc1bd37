"""SA-Med2D, the 16M part and the whole 20M: PNG slices of many sets, a PNG of 0 and 255 for each instance.

    SAMed2D_v1.json                      {image: [masks]}
    SAMed2D_v1_class_mapping_id.json     {dataset: {class: id}}
    images/ct_00--AbdomenCT1K--Case_00011--x_0040.png
    masks/ct_00--AbdomenCT1K--Case_00011--x_0040--0000_001.png          class, instance

Root is the folder of these, or the one that SAMed2Dv1 lies in. How a slice lies differs from source set to source
set, so no side is known unless its own organs tell it. Small masks were left out when the set was made: nothing is said
to be absent. The list is read piece by piece, because it is larger than memory should be.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import existing, not_of_the_set
from components.data.sources.pairs import with_masks
from model.imaging.reading.declared import Declared
from model.imaging.reading.files import refused
from model.interface.strict_json import read_json

NAME = "sa_med2d"
LICENCE = "CC BY-NC-SA (from memory, to be verified), and that of the set each image comes from"
LIST, CLASSES = "SAMed2D_v1.json", "SAMed2D_v1_class_mapping_id.json"
MODALITIES = {"ct": "CT", "mr": "MR", "pet": "PT"}
"""How the first part of a name begins -> what the reader is told; to it a CT's grey levels aren't Hounsfield units."""
BINARY_IMAGES = "brain-growth"
"""In a case's name: its images are themselves masks. Left out."""
INVERTED = ("ichallenge_adam_task2",)
"""Datasets whose masks are 255 outside of what they name. Left out."""
UNIONS = {"ACDC": (3,)}
"""Dataset -> classes that are others put together, here the whole cavity. Left out."""
AXIAL = "z_"
"""Slices along a volume's third axis, which is up and down in most of the sets; their outlines must agree with it."""
CHUNK = 1 << 20
"""Characters read of the list at a time."""
LONGEST_ENTRY = 16 * CHUNK
ENTRY = re.compile(r'[\s,]*"([^"\\]+)"\s*:\s*(\[[^\[\]]*\])')


def cases(root: Path) -> Iterator[Case]:
    """In the order of the set's list; raises BadInput where a file is missing or a name isn't of the set's form."""
    root = root / "SAMed2Dv1" if (root / "SAMed2Dv1").is_dir() else root
    classes = _classes(existing(root, CLASSES))
    for listed, listed_masks in _entries(existing(root, LIST)):
        modality, dataset, case, place = _parts(listed)
        if BINARY_IMAGES in case or dataset in INVERTED:
            continue
        image, masks = existing(root, listed), _by_class(root, listed_masks, dataset, classes)
        files = (image, *(path for paths in masks.values() for path in paths))
        read = partial(_open, image, masks, modality, place.startswith(AXIAL))
        yield Case(NAME, f"{dataset}--{case}", image.stem, "", LICENCE, files, read)


def _open(image: Path, masks: Mapping[str, tuple[Path, ...]], modality: str | None, axial: bool) -> Labelled:
    labelled = with_masks(image, masks, Declared(modality=modality), axial)
    if len(np.unique(labelled.volume.voxels)) == 2:  # some of Brain_PTM
        raise refused(image, "the image is itself a mask", field="voxels", found="two values", wanted="grey levels")
    return replace(labelled, sought=frozenset(outline.name for outline in labelled.outlines))


def _parts(listed: str) -> tuple[str | None, str, str, str]:
    """(modality, dataset, case, slice) of an image's name; a case is one person's scan."""
    parts = Path(listed).name.split("--")
    if len(parts) != 4 or not all(parts):
        raise not_of_the_set(Path(listed).name, "name", f"{len(parts)} parts", "modality--dataset--case--slice.png")
    return MODALITIES.get(parts[0].split("_")[0]), parts[1], parts[2], parts[3]


def _by_class(
    root: Path, listed: Iterable[str], dataset: str, classes: Mapping[str, Mapping[int, str]]
) -> dict[str, tuple[Path, ...]]:
    """Class -> the masks of its instances."""
    out: dict[str, tuple[Path, ...]] = {}
    for path in (existing(root, mask) for mask in sorted(listed)):
        said = re.search(r"--(\d{4})_(\d{3})\.png$", path.name)
        if not said:
            raise not_of_the_set(path.name, "name", "another form", "…--class_instance.png, 4 and 3 digits")
        number = int(said[1])
        if number not in classes.get(dataset, {}):
            raise not_of_the_set(path.name, "class", f"{number} of {dataset}", f"one of {CLASSES}")
        if number not in UNIONS.get(dataset, ()):
            name = classes[dataset][number]
            out[name] = (*out.get(name, ()), path)
    return out


def _classes(path: Path) -> dict[str, dict[int, str]]:
    """Dataset -> class number -> its name."""
    stored = read_json(path)
    out = {}
    for dataset, numbers in stored.items() if isinstance(stored, dict) else ():
        if not isinstance(numbers, dict) or not all(str(number).isdecimal() for number in numbers.values()):
            raise not_of_the_set(path.name, dataset, "another table", "class -> number")
        out[dataset] = {int(number): name for name, number in numbers.items()}
    return out


def _entries(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(image, its masks), in the file's order, never holding more than a piece of it."""
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(CHUNK).lstrip()
        at, more = 1, text.startswith("{")
        while more or text[at:].strip():
            if found := ENTRY.match(text, at):
                at = found.end()
                yield found[1], json.loads(found[2])
                continue
            if not (piece := file.read(CHUNK)):
                break
            text, at = text[at:] + piece, 0
            if len(text) > LONGEST_ENTRY:
                break
        if text[at:].strip() != "}":
            raise not_of_the_set(path.name, "JSON", "a damaged or truncated list", "{image: [masks], …}")
