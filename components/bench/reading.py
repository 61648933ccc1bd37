"""What reading a large scan costs, beside the usual way: float64, percentiles of everything, trilinear.

The scan is a head-like phantom of 512 x 512 x 300 voxels in Hounsfield units, written to disk as a NIfTI.
"""

import shutil
import tempfile
import weakref
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from components.bench.measure import Comparison
from model.imaging.prepare import prepare
from model.imaging.reading.declared import Declared
from model.imaging.reading.read import read_volume
from model.interface.contract import Contract
from model.vlm.checkpoint import Checkpoint

SHAPE, SPACING_MM = (512, 512, 300), (0.45, 0.45, 0.6)
SIDE, SLICES = 256, 32
VIEW = Contract(volume_side=SIDE, slices=SLICES, channels="grey", ct_windows=("brain",))
AIR, BONE, GREY, WHITE, BLOOD = -1000, 900, 37, 28, 65
"""Hounsfield units."""
SHOWN = (10, 15, 20)
"""Slices of the picture."""


def read_ct_512x512x300(_: Checkpoint) -> Comparison:
    """From the file to 32 slices of 256 x 256."""
    path = Path(tempfile.mkdtemp()) / "scan.nii"
    nib.Nifti1Image(phantom(), np.diag([*SPACING_MM, 1.0])).to_filename(path)

    def ours() -> Tensor:
        return torch.from_numpy(prepare(read_volume(path, Declared("CT")), VIEW).slices).float()

    weakref.finalize(ours, shutil.rmtree, path.parent)
    return Comparison(
        ours=ours,
        peer=lambda: usual(path),
        peer_is="nibabel's get_fdata (float64), percentiles 0.5 and 99.5 of all voxels as window, trilinear",
        n=1,
        tolerance=None,
        picture=side_by_side,
    )


def phantom() -> np.ndarray:
    """int16 (x, y, z): skull, two tissues in folds, one bleeding, noise."""
    random = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE)
    out = np.empty(SHAPE, np.int16)
    flat = (x[:, None] / 0.72) ** 2 + (y[None] / 0.86) ** 2
    folds = np.sin(40 * x)[:, None] * np.cos(34 * y)[None]
    for k in range(SHAPE[2]):
        r = flat + (z[k] / 0.9) ** 2
        tissue = np.where(folds + 0.5 * np.sin(20 * z[k]) > 0, GREY, WHITE)
        bleeding = (x[:, None] - 0.3) ** 2 + (y[None] + 0.2) ** 2 + (z[k] / 2) ** 2 < 0.02
        slab = np.where(r > 1, AIR, np.where(r > 0.85, BONE, np.where(bleeding, BLOOD, tissue)))
        out[:, :, k] = slab + random.normal(0, 4, SHAPE[:2])
    return out


def usual(path: Path) -> Tensor:
    """The naive way to uint8-like grey levels, float32 [slices, rows, columns]."""
    voxels = nib.load(path).get_fdata()  # pyright: ignore[reportAttributeAccessIssue]
    low, high = np.percentile(voxels, (0.5, 99.5))
    scaled = np.clip((voxels - low) / (high - low), 0, 1)
    shown = torch.from_numpy(scaled.astype(np.float32)).permute(2, 1, 0)[None, None]
    return 255 * interpolate(shown, (SLICES, SIDE, SIDE), mode="trilinear", align_corners=False)[0, 0].flip(1, 2)


def side_by_side(ours: Tensor, peer: Tensor) -> Image.Image:
    """Three slices, ours above the usual way."""
    rows = [np.concatenate([way[z].numpy() for z in SHOWN], axis=1) for way in (ours, peer)]
    return Image.fromarray(np.clip(np.concatenate(rows), 0, 255).astype(np.uint8))
