"""Medical Segmentation Decathlon: ten tasks, each a folder with a dataset.json.

    Task03_Liver/imagesTr/liver_0.nii.gz   Task03_Liver/labelsTr/liver_0.nii.gz   Task03_Liver/dataset.json

Root is one task's folder, or the folder of several. Tasks 1 and 5 are 4-D: a contrast is found by its name in
dataset.json, and each makes a case of its own. Task 1 is BraTS 2016 and 2017 under other names: don't use both. Task 4
is crops of one hippocampus, whose side nobody tells.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import check_once, existing, members, not_of_the_set
from components.data.sources.pairs import with_label_map
from model.imaging.reading.declared import Declared
from model.interface.strict_json import read_json

NAME = "msd"
LICENCE = "CC BY-SA 4.0"
CONTRASTS = {"Task01": ("FLAIR", "T1w", "t1gd", "T2w"), "Task05": ("T2",)}
"""Of the 4-D tasks: those that are read. Task 5's ADC map isn't, nothing was outlined on it."""
MEANT = {
    "Task01": {"edema": "peritumoural oedema"},
    "Task03": {"cancer": "liver tumour"},
    "Task04": {"anterior": "anterior hippocampus", "posterior": "posterior hippocampus"},
    "Task06": {"cancer": "lung tumour"},
    "Task07": {"cancer": "pancreatic tumour"},
    "Task08": {"vessel": "hepatic vessels", "tumour": "liver tumour"},
}
"""What a name means in its task."""


def cases(root: Path) -> Iterator[Case]:
    """Raises BadInput where a file is missing or a dataset.json is not the Decathlon's."""
    tasks = [root] if (root / "dataset.json").is_file() else members(root, root, "Task*")
    for task in tasks:
        yield from _of_task(task)


def _of_task(folder: Path) -> Iterator[Case]:
    task = folder.name.split("_")[0]
    path = existing(folder, "dataset.json")
    stored = read_json(path)
    names, channels = _names(path, stored, task), _channels(path, stored, task)
    pairs = [(_listed(path, pair, "image"), _listed(path, pair, "label")) for pair in _training(path, stored)]
    check_once((image for image, _ in pairs), path.name)
    for listed_image, listed_labels in sorted(pairs):
        image, labels = existing(folder, listed_image), existing(folder, listed_labels)
        subject = re.sub(r"\.nii(\.gz)?$", "", image.name)
        for study, declared in channels.items():
            read = partial(_open, image, labels, names, declared)
            yield Case(NAME, subject, f"{subject}{study}", "", LICENCE, (image, labels), read)


def _open(image: Path, labels: Path, names: Mapping[int, str], declared: Declared) -> Labelled:
    return with_label_map(image, labels, names, declared)


def _names(path: Path, stored: Any, task: str) -> dict[int, str]:
    labels = _field(path, stored, "labels", dict)
    if not all(value.isdecimal() and isinstance(name, str) for value, name in labels.items()):
        raise not_of_the_set(path.name, "labels", "other entries", "label value -> name")
    meant = MEANT.get(task, {})
    return {int(value): str(meant.get(name.lower(), name)) for value, name in labels.items()}


def _channels(path: Path, stored: Any, task: str) -> dict[str, Declared]:
    """End of a study's name -> how its image is read."""
    channels = {str(name): int(k) for k, name in _field(path, stored, "modality", dict).items() if k.isdecimal()}
    if len(channels) == 1:
        return {"": Declared(modality="CT" if "CT" in channels else "MR")}
    wanted = CONTRASTS.get(task, tuple(channels))
    for name in wanted:
        if name not in channels:
            raise not_of_the_set(path.name, "modality", ", ".join(channels) or "nothing", name)
    return {f"-{name}": Declared(modality="MR", index=channels[name]) for name in wanted}


def _training(path: Path, stored: Any) -> list[Any]:
    return _field(path, stored, "training", list)


def _listed(path: Path, pair: Any, key: str) -> str:
    return _field(path, pair, key, str)


def _field(path: Path, stored: Any, key: str, kind: type) -> Any:
    value = stored.get(key) if isinstance(stored, dict) else None
    if not isinstance(value, kind):
        raise not_of_the_set(path.name, key, "nothing usable", {dict: "a table", list: "a list", str: "a path"}[kind])
    return value
