"""Scenes: what a pretraining picture or volume shows, and where, in model space.

Read from the corpus that `components.data.corpus` writes: images, label maps, and for each volume the
lesions that can be seen at all.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract

LEAST_PX = {2: 12, 3: 20}
"""Pixels (2D) or pixels over all slices (3D) of model space under which a structure is not asked about."""
NOT_ASKED = ("background", "csf", "skull", "scalp")
FIELD = {"axial": 2, "coronal": 1, "sagittal": 0}


@dataclass(frozen=True, slots=True)
class Scene:
    """One study of the corpus, as the model sees it."""

    prepared: Prepared
    labels: np.ndarray
    """uint8[slices, h, w]: what each pixel of model space is."""
    ignored: tuple[int, ...]
    """Labels painted but not visible (contrast-to-noise below 2): neither taught nor denied."""

    @property
    def dimension(self) -> int:
        return self.prepared.dimension

    def boxes(self, names: Sequence[str]) -> dict[str, Box]:
        """Model-space box of every structure big enough to be asked about."""
        counts = np.bincount(self.labels.ravel(), minlength=len(names))
        wanted = [
            k
            for k in np.flatnonzero(counts >= LEAST_PX[self.dimension]).tolist()
            if names[k] not in NOT_ASKED and k not in self.ignored
        ]
        return {names[k]: box_of(self.labels == k) for k in wanted}

    def absent(self, names: Sequence[str]) -> list[str]:
        """Structures and lesions of which not one pixel is there."""
        counts = np.bincount(self.labels.ravel(), minlength=len(names))
        return [
            names[k]
            for k in np.flatnonzero(counts == 0).tolist()
            if names[k] not in NOT_ASKED and k not in self.ignored
        ]


@dataclass(frozen=True)
class Corpus:
    images: np.ndarray
    """int16[N, x, y, z], RAS+: HU of a CT, arbitrary units of an MR."""
    labels: np.ndarray
    """uint8[N, x, y, z]"""
    volumes: list[dict]
    names: list[str]
    affine: np.ndarray
    lesions: int
    """First label id that is a lesion."""
    wording: list[str]
    """Questions and rationales as the data stage words them, for the tokenizer."""

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        meta = json.loads((folder / "meta.json").read_text())
        images, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels"))
        return cls(
            images,
            labels,
            meta["volumes"],
            meta["names"],
            np.array(meta["affine"]),
            meta["first_lesion"],
            meta["wording"],
        )

    def key(self, settings: str) -> str:
        """Digest of the corpus and of what is done with it, 12 hex digits."""
        told = json.dumps([self.volumes, self.names, self.images.shape, settings])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.images)

    def scene(self, i: int, contract: Contract, plane: str = "", at: int = 0) -> Scene:
        """Volume i, or its slice `at` along a plane."""
        voxels, labels, affine = self.images[i], self.labels[i], self.affine
        if plane:
            axis = FIELD[plane]
            voxels, labels = (np.take(a, [at], axis) for a in (voxels, labels))
            affine = affine.copy()
            affine[:3, 3] += affine[:3, axis] * at
        volume = Volume(np.ascontiguousarray(voxels), affine, self.volumes[i]["modality"], True, plane or "axial")
        prepared = prepare(volume, contract)
        ignored = tuple(self.names.index(lesion["kind"]) for lesion in self.volumes[i]["lesions"] if lesion["cnr"] < 2)
        return Scene(prepared, nearest_labels(labels, prepared), ignored)


def nearest_labels(labels: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Labels at the middle of every model-space pixel: uint8[slices, h, w]."""
    frame = prepared.frame
    everything = frame.spans(Box((0, 0, 0), frame.shape))
    counts = frame.as_source(frame.shape)
    index = []
    for (first, last), n, size in zip(everything, counts, labels.shape, strict=True):
        middle = first + (np.arange(n) + 0.5) * (last - first) / n
        index.append(np.clip(middle.astype(int), 0, size - 1))
    return np.ascontiguousarray(frame.displayed(labels[np.ix_(*index)]))


def box_of(mask: np.ndarray) -> Box:
    """Half-open box of a mask [slices, h, w]."""
    z, y, x = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return Box((int(x[0]), int(y[0]), int(z[0])), (int(x[-1]) + 1, int(y[-1]) + 1, int(z[-1]) + 1))
