"""A small world: sealed shards of a dozen heads a split, and checkpoints with random weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model.imaging import shards
from model.imaging.shards import Study
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.question import Question, Remark
from model.vlm import checkpoint as folders
from model.vlm.backbone import TinySize, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.tokenizer import train

CONTRACT = Contract(image_side=32, volume_side=32, slices=2, crop_side=16, crop_slices=2)
SIZE = TinySize(
    hidden=48, layers=1, heads=2, kv_heads=1, mlp=64, tower_hidden=32, tower_layers=1, tower_heads=2, tower_mlp=48
)
BLOB = Box.of((4, 5, 2, 9, 11, 5))
SPLITS = ("train", "test", "real", "reference", "steady", "shifted")


def data(folder: Path, heads: int = 6) -> Path:
    """Shards of every split: a volume and a slice a head, a question each."""
    for place, split in enumerate(SPLITS):
        made = list(_studies(split, heads, place))
        shards.write_studies(folder, split, made)
        shards.write_questions(folder, split, [_question(study) for study in made])
    shards.seal(folder)
    return folder


def checkpoint(folder: Path, seed: int = 0) -> Path:
    tokenizer = train(["Which box holds the blob?", "The blob is at"] * 9, 700)
    vlm = tiny(CONTRACT, tokenizer, SIZE, seed)
    folders.save(Checkpoint(vlm, tokenizer, CONTRACT, ""), folder, torch.float32)
    return folder


def _studies(split: str, heads: int, seed: int) -> Iterator[Study]:
    random = np.random.default_rng(seed)
    for head in range(heads):
        voxels = random.uniform(0, 100, (16, 16, 6)).astype(np.float32)
        voxels[4:9, 5:11, 2:5] = 200
        for kind, cut in (("3d", voxels), ("2d", voxels[:, :, 3:4])):
            volume = Volume(cut.copy(), np.diag([2.0, 2.0, 4.0, 1.0]), "MR", True, "axial")
            name = f"{split}-{head}-{kind}"
            yield Study(name, "donor", split, "T1", volume, f"{split}-{head}", "CC0", "noise")


def _question(study: Study) -> Question:
    flat = study.volume.dimension == 2
    box = Box.of((4, 5, 0, 9, 11, 1)) if flat else BLOB
    return Question(
        id=f"q-{study.id}",
        study=study.id,
        subject=study.subject,
        split=study.split,
        dimension=study.volume.dimension,
        family="lesion analysis",
        text="Is there a blob?",
        options=("Yes", "No"),
        answer=0,
        contrast=study.contrast,
        rationale=(Remark("A blob is at", box, "blob", "lesion"),),
    )
