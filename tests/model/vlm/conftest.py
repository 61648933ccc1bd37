"""A model with random weights, and studies made here: small, known, no downloads."""

import numpy as np
import pytest
import torch

from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface.contract import Contract
from model.vlm.backbone import TinySize, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.tokenizer import train

SMALL = Contract(image_side=48, volume_side=32, slices=4, crop_side=32, crop_slices=2)
TEXTS = [
    "Which box holds the left hippocampus?",
    "The left thalamus is at",
    "It is on the left. No lesion is seen.",
] * 9


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    tokenizer = train(TEXTS, 900)
    size = TinySize(
        hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, tower_hidden=32, tower_layers=2, tower_heads=2, tower_mlp=64
    )
    vlm = tiny(SMALL, tokenizer, size, seed=1)
    with torch.no_grad():  # larger than a fresh model's weights, so that errors of position show in the scores
        for p in vlm.parameters():
            if p.ndim > 1:
                p.mul_(3)
    return Checkpoint(vlm, tokenizer, SMALL, "")


def volume(shape: tuple[int, int, int], seed: int, plane: str = "axial") -> Volume:
    voxels = np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)
    return Volume(voxels, np.diag([2.0, 2.0, 4.0, 1.0]), "MR", True, plane)


@pytest.fixture(scope="session")
def image() -> Prepared:
    return prepare(volume((40, 30, 1), 1), SMALL)


@pytest.fixture(scope="session")
def cuboid() -> Prepared:
    return prepare(volume((36, 36, 12), 2), SMALL)
