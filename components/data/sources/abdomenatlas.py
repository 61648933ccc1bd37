"""AbdomenAtlas 1.0 Mini and 1.1: abdominal CT with 9 or 25 structures.

    BDMAP_00000001/ct.nii.gz   BDMAP_00000001/segmentations/liver.nii.gz …   or combined_labels.nii.gz

Masks by name are read where there are any, because they may overlap and need no table; else the map, whose first nine
values mean the same in both versions. The CTs come from other public sets, DeepTumorVQA asks about the same ones: check
the overlap before testing on any of them.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from components.data.sources.case import Case, Labelled
from components.data.sources.listing import existing, members
from components.data.sources.pairs import with_label_map, with_masks
from model.imaging.reading.declared import Declared

NAME = "abdomenatlas"
LICENCE = "CC BY-NC-SA (from memory, to be verified), and that of the set each CT comes from"
LABELS = dict(enumerate((
    "aorta", "gall_bladder", "kidney_left", "kidney_right", "liver", "pancreas", "postcava", "spleen", "stomach",
    "adrenal_gland_left", "adrenal_gland_right", "bladder", "celiac_trunk", "colon", "duodenum", "esophagus",
    "femur_left", "femur_right", "hepatic_vessel", "intestine", "lung_left", "lung_right",
    "portal_vein_and_splenic_vein", "prostate", "rectum",
), 1))  # fmt: skip
"""1.0 has the first nine. Left comes before right, unlike AMOS22."""
CT = Declared(modality="CT")


def cases(root: Path) -> Iterator[Case]:
    """Raises BadInput where a CT or its labels are missing."""
    for folder in members(root, root, "BDMAP_*"):
        image = existing(root, folder.name, "ct.nii.gz")
        if (folder / "segmentations").is_dir():
            masks = members(folder / "segmentations", root, "*.nii.gz")
            named = {path.name.removesuffix(".nii.gz"): (path,) for path in masks}
            files, read = (image, *masks), partial(_open_masks, image, named)
        else:
            labels = existing(root, folder.name, "combined_labels.nii.gz")
            files, read = (image, labels), partial(_open_map, image, labels)
        yield Case(NAME, folder.name, folder.name, "", LICENCE, files, read)


def _open_masks(image: Path, masks: Mapping[str, tuple[Path, ...]]) -> Labelled:
    return with_masks(image, masks, CT)


def _open_map(image: Path, labels: Path) -> Labelled:
    return with_label_map(image, labels, LABELS, CT)
