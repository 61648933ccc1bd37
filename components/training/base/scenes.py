"""Scenes: what a pretraining picture or volume shows, and where, in model space.

Read from the corpus that `components.data.corpus` writes. Structures lie in `labels` as if nobody were
ill, lesions in `cores` on top of them: a structure's box is that of the whole structure, as in the
questions of the data set.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import SLICE_AXIS, Volume
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.question import Question

LEAST_PX = {2: 12, 3: 20}
"""Pixels (2D) or pixels over all slices (3D) of model space under which a structure is not asked about."""
CLOSER, CLOSER_SPLIT = "closer", "train"
"""Folder of sealed shards in a corpus, and their split: what only a crop answers."""
NOT_ASKED = ("background", "csf", "skull", "scalp")


@dataclass(frozen=True, slots=True)
class Scene:
    """One study of the corpus, as the model sees it."""

    prepared: Prepared
    labels: np.ndarray
    """uint8[slices, h, w]: the structure each pixel of model space belongs to."""
    cores: np.ndarray
    """uint8[slices, h, w]: 0, or the label of the lesion there."""
    lesions: dict[str, Box]
    """Model-space box of each lesion that is plain to see."""
    ignored: tuple[int, ...]
    """Labels painted but not plain to see: neither taught nor denied."""
    questions: tuple[Question, ...]

    @property
    def dimension(self) -> int:
        return self.prepared.dimension

    def boxes(self, names: Sequence[str]) -> dict[str, Box]:
        """Model-space box of every structure big enough to be asked about, and of the lesions."""
        counts = np.bincount(self.labels.ravel(), minlength=len(names))
        large = [k for k in np.flatnonzero(counts >= LEAST_PX[self.dimension]).tolist() if names[k] not in NOT_ASKED]
        return {names[k]: box_of(self.labels == k) for k in large} | self.lesions

    def absent(self, names: Sequence[str]) -> list[str]:
        """Structures and lesions of which not one pixel is there."""
        counts = np.bincount(self.labels.ravel(), minlength=len(names))
        counts += np.bincount(self.cores.ravel(), minlength=len(names))
        return [
            names[k]
            for k in np.flatnonzero(counts == 0).tolist()
            if names[k] not in NOT_ASKED and k not in self.ignored
        ]


@dataclass(frozen=True)
class Corpus:
    arrays: dict[str, np.ndarray]
    """images int16[N, x, y, z] RAS+; labels and cores uint8[N, x, y, z]."""
    studies: list[dict[str, Any]]
    """Volumes and slices, as `components.data.corpus` describes them."""
    names: list[str]
    affine: np.ndarray
    lesions: int
    """First label id that is a lesion."""
    wording: list[str]
    """Questions and rationales as the data stage words them, for the tokenizer."""
    digest: str

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        meta = json.loads((folder / "meta.json").read_text())
        told = (folder / "studies.jsonl").read_bytes()
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "cores")}
        digest = hashlib.sha256(told).hexdigest()
        studies = [json.loads(line) for line in told.splitlines()]
        affine = np.array(meta["affine"])
        return cls(arrays, studies, meta["names"], affine, meta["first_lesion"], meta["wording"], digest)

    def key(self, settings: str) -> str:
        """Digest of the corpus and of what is done with it, 12 hex digits."""
        return hashlib.sha256((self.digest + settings).encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.studies)

    def scene(self, i: int, contract: Contract) -> Scene:
        told = self.studies[i]
        voxels, labels, cores = (self.arrays[name][told["head"]] for name in ("images", "labels", "cores"))
        affine, plane = self.affine, told["plane"]
        if plane:
            axis, at = SLICE_AXIS[plane], told["at"]
            voxels, labels, cores = (np.take(a, [at], axis) for a in (voxels, labels, cores))
            affine = affine.copy()
            affine[:3, 3] += affine[:3, axis] * at
        volume = Volume(np.ascontiguousarray(voxels), affine, told["modality"], True, plane or "axial")
        prepared = prepare(volume, contract)
        return Scene(
            prepared,
            in_model_space(labels, prepared),
            in_model_space(cores, prepared),
            {kind: prepared.frame.to_model(Box.from_json(box)) for kind, box in told["seen"].items()},
            tuple(self.names.index(kind) for kind in told["hidden"]),
            tuple(Question.from_json(row) for row in told["questions"]),
        )


def in_model_space(labels: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Labels at the middle of every model-space pixel: uint8[slices, h, w]."""
    frame = prepared.frame
    everything = frame.spans(Box((0, 0, 0), frame.shape))
    counts = frame.as_source(frame.shape)
    index = []
    for (first, last), n, size in zip(everything, counts, labels.shape, strict=True):
        middle = first + (np.arange(n) + 0.5) * (last - first) / n
        index.append(np.clip(middle.astype(int), 0, size - 1))
    return np.ascontiguousarray(frame.displayed(labels[np.ix_(*index)]))


def twin(name: str) -> str:
    """The same structure of the other side; "" of what has no side."""
    first, _, rest = name.partition(" ")
    return {"left": f"right {rest}", "right": f"left {rest}"}.get(first, "")


def box_of(mask: np.ndarray) -> Box:
    """Half-open box of a mask [slices, h, w]."""
    z, y, x = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return Box((int(x[0]), int(y[0]), int(z[0])), (int(x[-1]) + 1, int(y[-1]) + 1, int(z[-1]) + 1))
