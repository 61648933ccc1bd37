"""M3D-Seg: 25 CT sets as numpy arrays, a sparse mask a label.

    0000/0000.json   0000/<case>/image.npy   0000/<case>/mask_(C, X, Y, Z).npz

The image is float (1, X, Y, Z) along the axes of a NIfTI whose affine was dropped: left and right are unknown unless
the outlines tell them, Hounsfield units were normalised away, so it is no CT to us, and no spacing is known. The masks
are a scipy CSR matrix, a row a label, whose shape stands in the file's name alone. A name listed twice (the first
lumbar vertebra in 0014 and 0015, where the second is missing) says of neither row what it is: both are left out.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from components.data.sources.case import Case, Labelled, Outline
from components.data.sources.listing import check_once, existing, members, not_of_the_set
from components.data.sources.ontology import named_all
from components.data.sources.pairs import told
from model.imaging.reading.files import LIMIT_MIB, refused
from model.imaging.volume import Volume
from model.interface.strict_json import read_json

NAME = "m3d_seg"
LICENCE = "Apache-2.0 (the set's page), and that of the set each CT comes from"
SPLITS = ("train", "test")
Shape = tuple[int, int, int]


def cases(root: Path) -> Iterator[Case]:
    """Root is the folder of 0000, 0001, …; raises BadInput where a listed file is missing, or a case listed twice."""
    for folder in members(root, root, "[0-9]" * 4):
        yield from _of_set(root, folder.name)


def _of_set(root: Path, code: str) -> Iterator[Case]:
    path = existing(root, code, f"{code}.json")
    stored = read_json(path)
    names, warnings = _names(path, stored)
    pairs = {split: [_pair(path, pair) for pair in stored.get(split, ())] for split in SPLITS}
    check_once((image for split in SPLITS for image, _ in pairs[split]), path.name)
    for split in SPLITS:
        for listed_image, listed_masks in sorted(pairs[split]):
            image, masks = existing(root, listed_image), existing(root, listed_masks)
            study = f"{code}-{image.parent.name}"
            read = partial(_open, image, masks, names, warnings)
            yield Case(NAME, study, study, split, LICENCE, (image, masks), read)


def _names(path: Path, stored: Any) -> tuple[dict[int, str], tuple[str, ...]]:
    """Label value -> our name, "" of those that can't be told apart."""
    labels = stored.get("labels") if isinstance(stored, dict) else None
    if not isinstance(labels, dict) or not all(value.isdecimal() for value in labels):
        raise not_of_the_set(path.name, "labels", "no table", "label value -> name")
    table = {int(value): str(name) for value, name in labels.items()}
    names, warnings = named_all(table)
    if sorted(names) != list(range(1, len(names) + 1)):
        raise not_of_the_set(path.name, "labels", "a gap in the numbers", "one for each row of the masks, from 1")
    twice = [name for name, n in Counter(table.values()).items() if n > 1]
    told_twice = (f"label {name!r} is listed twice: which row is which is unknown, both are left out" for name in twice)
    return {value: "" if table[value] in twice else name for value, name in names.items()}, (*warnings, *told_twice)


def _pair(path: Path, pair: Any) -> tuple[str, str]:
    image, masks = (pair.get(key) if isinstance(pair, dict) else None for key in ("image", "label"))
    if not isinstance(image, str) or not isinstance(masks, str):
        raise not_of_the_set(path.name, "train and test", "another entry", "image and label, paths")
    return image, masks


def _open(image: Path, masks: Path, names: Mapping[int, str], warnings: tuple[str, ...]) -> Labelled:
    voxels = _image(image)
    rows = _rows(masks, (len(names), *voxels.shape))
    flat: dict[str, list[np.ndarray]] = {}
    for value, name in names.items():
        if name:
            flat.setdefault(name, []).append(rows[value - 1])
    outlines = [_outline(name, np.concatenate(same), voxels.shape) for name, same in flat.items()]
    lost = "normalised values without a frame: neither Hounsfield units nor spacing nor sides are known"
    volume = Volume(voxels, np.eye(4), "", False, "image", (lost,), spacing_known=False)
    return told(volume, [outline for outline in outlines if outline], names.values(), warnings)


def _image(path: Path) -> np.ndarray:
    """float32 (x, y, z); mapped first, so that no more is allocated than the file holds."""
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        wanted = "numbers saved by numpy, no pickle"
        raise refused(path, "the array can't be read", field="data", found="damage", wanted=wanted) from error
    if stored.ndim != 4 or stored.shape[0] != 1 or stored.dtype.kind not in "iuf" or min(stored.shape) < 1:
        found = f"{stored.dtype} {stored.shape}"
        raise refused(path, "not an image of this set", field="shape", found=found, wanted="numbers, (1, X, Y, Z)")
    voxels = np.array(stored[0], np.float32)
    if not np.isfinite(voxels).all() or voxels.min() == voxels.max():
        wanted = "finite, and not all the same"
        raise refused(path, "there is nothing to see", field="voxels", found="other values", wanted=wanted)
    return voxels


def _rows(path: Path, wanted: tuple[int, ...]) -> list[np.ndarray]:
    """For each label the flat indices, C order, of its voxels. wanted: (C, X, Y, Z)."""
    said = re.fullmatch(r"mask_\((\d+), ?(\d+), ?(\d+), ?(\d+)\)\.npz", path.name)
    shape = tuple(map(int, said.groups())) if said else "no shape"
    if shape != wanted:
        raise refused(path, "masks of another shape", field="name", found=shape, wanted=f"{wanted}, labels and image")
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > LIMIT_MIB << 20:
            found = f"{size >> 20} MiB once inflated"
            raise refused(path, "the masks are too large", field="zip", found=found, wanted=f"{LIMIT_MIB} MiB")
        matrix = sparse.load_npz(path)  # of arrays without pickle
    except (ValueError, OSError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        kind = "a CSR matrix saved by scipy, no pickle"
        raise refused(path, "the masks can't be read", field="data", found="damage", wanted=kind) from error
    if matrix.format != "csr" or matrix.shape != (wanted[0], prod(wanted[1:])):
        found = f"{matrix.format} {matrix.shape}"
        raise refused(path, "masks of another shape", field="matrix", found=found, wanted="CSR, a row a label")
    matrix.eliminate_zeros()
    return [matrix.indices[a:b] for a, b in zip(matrix.indptr, matrix.indptr[1:], strict=False)]


def _outline(name: str, flat: np.ndarray, shape: Shape) -> Outline | None:
    """Without a dense mask of the whole volume."""
    if not flat.size:
        return None
    index = np.stack(np.unravel_index(flat, shape))
    low, high = index.min(1), index.max(1) + 1
    inside = np.zeros(high - low, bool)
    inside[tuple(index - low[:, None])] = True
    x, y, z = low.tolist()
    return Outline(name, (x, y, z), inside)
