"""The first half of pretraining: the tower learns to say what is in each token, and where it ends.

Masks are free here, so every token is taught densely: which structures lie in it, the box of each in
this slice, and of a volume's slice the cuboid and how many slices it goes on, down and up. The heads
that ask this are linear and thrown away; what they leave is a tower whose tokens carry names and
places that a language model can read off.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from components.training.base.scenes import NOT_ASKED, Scene, box_of, twin
from model.imaging.crop import crop
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.vlm.tower import merge, patchify, whole_picture_pass

LEAST_IN_PATCH = 4
"""Pixels of a structure that make it present in a patch, or in a token."""
RARE = 8.0
"""How much more it counts to miss a lesion: it fills one token in hundreds."""
BOXED = 30.0
"""How much more a lesion's box counts in a token than a structure's: of boxes, lesions are then a third."""
PIXEL = 3.0
"""How much more it counts to miss a lesion's pixel."""
WEIGHTS = {"patch": 20.0, "token": 20.0, "lesion": 2.0, "pixels": 20.0, "box": 20.0, "cuboid": 20.0, "around": 10.0}


@dataclass(frozen=True)
class Pool:
    """Pictures of one size with what they show. C counts label ids."""

    pictures: np.ndarray
    """uint8[n, h, w]"""
    labels: np.ndarray
    """uint8[n, h, w]"""
    cores: np.ndarray
    """uint8[n, h, w]: lesions, 0 elsewhere."""
    taught: np.ndarray
    """bool[n, C]: False where a label is painted but can't be seen."""
    sided: np.ndarray
    """bool[n]: left and right are across the picture, as they are not in a sagittal one."""
    cuboids: np.ndarray | None = None
    """float32[n, C, 6] of a volume's slices: x1, y1, x2, y2 as shares of the side; z1, z2 less this slice, over 16."""
    boxes: np.ndarray | None = None
    """int16[n, C, 4] px, float32 once moved, -1 where a label is absent; None of crops."""

    @property
    def ill(self) -> np.ndarray:
        """int[k]: pictures that show a lesion which is taught."""
        shown = np.zeros_like(self.taught)
        for row, core in zip(shown, self.cores, strict=True):
            row[np.unique(core)] = True
        shown[:, 0] = False
        return np.flatnonzero((shown & self.taught).any(1))

    def take(self, index: np.ndarray) -> "Pool":
        parts = (self.pictures, self.labels, self.cores, self.taught, self.sided, self.cuboids, self.boxes)
        return Pool(*(None if part is None else part[index] for part in parts))  # pyright: ignore[reportArgumentType]


class Heads(nn.Module):
    def __init__(self, tower: int, hidden: int, labels: int, patch: int) -> None:
        super().__init__()
        self.labels = labels
        self.patch, self.token = nn.Linear(tower, labels), nn.Linear(hidden, labels)
        self.box, self.cuboid = nn.Linear(hidden, 4 * labels), nn.Linear(hidden, 6 * labels)
        self.lesion, self.around = nn.Linear(hidden, 1), nn.Linear(hidden, 6)
        """Any lesion at all, easier than its kind and learnt first; and its box, a cuboid's numbers in a volume."""
        self.pixels = nn.Linear(tower, patch * patch)
        """Which of a patch's pixels are a lesion's."""


def pool_of(scenes: Sequence[Scene], labels: int) -> Pool:
    """All slices of scenes of one size."""
    shown = np.concatenate([scene.prepared.slices for scene in scenes])
    label_maps = np.concatenate([scene.labels for scene in scenes])
    cores = np.concatenate([scene.cores for scene in scenes])
    taught, sided = _taught_and_sided(scenes, labels)
    depth = len(scenes[0].labels)
    boxes = slice_boxes(label_maps, labels)
    lesions = slice_boxes(cores, labels)
    boxes = np.where((lesions >= 0) & (np.arange(labels) > 0)[None, :, None], lesions, boxes)
    cuboids = cuboids_of(boxes, depth, shown.shape[1]) if depth > 1 else None
    return Pool(shown, label_maps, cores, taught.repeat(depth, 0), sided.repeat(depth), cuboids, boxes)


def _taught_and_sided(scenes: Sequence[Scene], labels: int) -> tuple[np.ndarray, np.ndarray]:
    """`Pool.taught` and `Pool.sided`, a row a scene."""
    taught = np.ones((len(scenes), labels), bool)
    for row, scene in zip(taught, scenes, strict=True):
        row[list(scene.ignored)] = False
    return taught, np.array([scene.prepared.frame.plane != "sagittal" for scene in scenes])


def patch_counts(label_maps: np.ndarray, cores: np.ndarray, labels: int, patch: int) -> np.ndarray:
    """Two layers uint8[n, h, w] -> uint8[n, labels, h / patch, w / patch]; a pixel counts in both of them."""
    counts = _patch_counts(label_maps, labels, patch)
    counts[:, 1:] += _patch_counts(cores, labels, patch)[:, 1:]
    return counts


def _patch_counts(label_maps: np.ndarray, labels: int, patch: int) -> np.ndarray:
    n, height, width = label_maps.shape
    rows, columns = height // patch, width // patch
    cell = (np.arange(height) // patch)[:, None] * columns + np.arange(width) // patch
    out = np.empty((n, labels, rows, columns), np.uint8)
    for i, label_map in enumerate(label_maps):
        index = label_map.astype(np.int64) * (rows * columns) + cell
        out[i] = np.bincount(index.ravel(), minlength=labels * rows * columns).reshape(labels, rows, columns)
    return out


def slice_boxes(label_maps: np.ndarray, labels: int) -> np.ndarray:
    """uint8[n, h, w] -> int16[n, labels, 4]: x1, y1, x2, y2 of each label in each slice, -1 where absent."""
    n, height, width = label_maps.shape
    out = np.full((n, labels, 4), -1, np.int16)
    for i, label_map in enumerate(label_maps):
        there = np.unique(label_map)
        rows = np.zeros((labels, height), bool)
        columns = np.zeros((labels, width), bool)
        rows[label_map, np.arange(height)[:, None]] = True
        columns[label_map, np.arange(width)] = True
        out[i, there, 0], out[i, there, 2] = columns[there].argmax(1), width - columns[there, ::-1].argmax(1)
        out[i, there, 1], out[i, there, 3] = rows[there].argmax(1), height - rows[there, ::-1].argmax(1)
    return out


def cuboids_of(boxes: np.ndarray, depth: int, side: int) -> np.ndarray:
    """Each slice's view of the cuboids of its volume: float32[n, labels, 6], as `Pool.cuboids`."""
    per_volume = boxes.reshape(-1, depth, *boxes.shape[1:]).astype(np.float32)
    there = per_volume[..., 0] >= 0
    low = np.where(there[..., None], per_volume, np.inf).min(1)
    high = per_volume.max(1)
    first, last = there.argmax(1), depth - there[:, ::-1].argmax(1)
    flat = np.stack([low[..., 0], low[..., 1], high[..., 2], high[..., 3]], -1) / side
    flat = np.nan_to_num(flat, posinf=0)[:, None].repeat(depth, 1)
    z = np.arange(depth)[None, :, None]
    reach = np.stack([first[:, None] - z, last[:, None] - z], -1) / 16
    return np.concatenate([flat, reach], -1).reshape(-1, boxes.shape[1], 6).astype(np.float32)


def crop_pool(scenes: Sequence[Scene], labels: int, contract: Contract, random: np.random.Generator) -> Pool:
    """Square close-ups of something in each scene, as injection shows them, larger than it by up to half."""
    pictures, label_maps, cores = [], [], []
    for scene in scenes:
        around = square_around(scene, random)
        pictures.append(crop(scene.prepared, around, contract)[0])
        z, side = int(around.low[2]), contract.crop_side
        x, y = (
            np.clip((low + (np.arange(side) + 0.5) * size / side).astype(int), 0, limit - 1)
            for low, size, limit in zip(around.low, around.size, scene.labels.shape[:0:-1], strict=False)
        )
        label_maps.append(scene.labels[z][np.ix_(y, x)])
        cores.append(scene.cores[z][np.ix_(y, x)])
    return Pool(np.stack(pictures), np.stack(label_maps), np.stack(cores), *_taught_and_sided(scenes, labels))


def square_around(scene: Scene, random: np.random.Generator) -> Box:
    """A square inside the picture around one label, lesions as often as all else."""
    layer = scene.cores if scene.cores.any() and random.random() < 0.5 else scene.labels
    there = np.unique(layer)
    there = there[there > 0] if layer is scene.cores else there
    label = there[random.integers(len(there))]
    deep = np.flatnonzero((layer == label).any((1, 2)))
    z = int(deep[random.integers(len(deep))])
    here = box_of(layer[z : z + 1] == label)
    _, height, width = scene.labels.shape
    side = min(max(8.0, max(here.size) * random.uniform(1, 1.5)), height, width)
    x, y = (min(max(m - side / 2, 0), limit - side) for m, limit in zip(here.centre, (width, height), strict=False))
    return Box((x, y, z), (x + side, y + side, z + 1))


def moved(batch: Pool, swap: np.ndarray, random: np.random.Generator) -> Pool:
    """Other heads: pictures stretched and shifted along their sides, half of those that may be mirrored.

    swap: int[C], the label of the other side. Boxes go along; what leaves the picture is cut off.
    """
    n, height, width = batch.pictures.shape
    stretch, shift = random.uniform(0.87, 1.15, (2, n)), random.uniform(-0.06, 0.06, (2, n))
    mirrored = batch.sided & (random.random(n) < 0.5)
    layers = [np.zeros_like(layer) for layer in (batch.pictures, batch.labels, batch.cores)]
    for i in range(n):
        (rows, into_rows), (columns, into_columns) = (
            _gathered(size, stretch[axis, i], shift[axis, i] * size, mirror)
            for axis, (size, mirror) in enumerate(((height, False), (width, bool(mirrored[i]))))
        )
        for layer, old in zip(layers, (batch.pictures, batch.labels, batch.cores), strict=True):
            layer[i][np.ix_(into_rows, into_columns)] = old[i][np.ix_(rows, columns)]
    layers[1][mirrored] = swap[layers[1][mirrored]]
    taught, boxes, cuboids = batch.taught.copy(), None, None
    taught[mirrored] = taught[mirrored][:, swap]
    places = stretch[::-1], shift[::-1]  # boxes say x first
    if batch.boxes is not None:
        side = np.array([width, height])
        shares = _moved_boxes(batch.boxes / np.tile(side, 2), *places, mirrored, swap)
        absent = batch.boxes[..., :1] < 0
        absent[mirrored] = absent[mirrored][:, swap]
        boxes = np.where(absent, -1, shares * np.tile(side, 2)).astype(np.float32)
    if batch.cuboids is not None:
        cuboids = batch.cuboids.copy()
        cuboids[mirrored] = cuboids[mirrored][:, swap]
        cuboids[..., :4] = _moved_boxes(batch.cuboids[..., :4], *places, mirrored, swap)
    return Pool(layers[0], layers[1], layers[2], taught, batch.sided, cuboids, boxes)


def _gathered(size: int, stretch: float, shift: float, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
    """(old, new) places along a side of `size` pixels, stretched about its middle, then shifted, then mirrored."""
    new = np.arange(size)
    told = size - 1 - new if mirror else new
    old = np.floor((told + 0.5 - size / 2 - shift) / stretch + size / 2).astype(int)
    inside = (old >= 0) & (old < size)
    return old[inside], new[inside]


def _moved_boxes(
    shares: np.ndarray, stretch: np.ndarray, shift: np.ndarray, mirrored: np.ndarray, swap: np.ndarray
) -> np.ndarray:
    """shares: float[n, C, 4], x1, y1, x2, y2 of the side; stretch, shift: float[2, n], along x and y."""
    stretch, shift = (np.tile(a, (2, 1)).T[:, None] for a in (stretch, shift))
    out = np.clip((shares - 0.5) * stretch + 0.5 + shift, 0, 1)
    turned = out[mirrored][:, swap]
    out[mirrored] = np.stack([1 - turned[..., 2], turned[..., 1], 1 - turned[..., 0], turned[..., 3]], -1)
    return out.astype(np.float32)


def disturbed(pictures: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Other scanners: gamma, contrast, brightness and noise, drawn for each picture."""
    n = (len(pictures), 1, 1)
    x = (pictures.astype(np.float32) / 255) ** np.exp(random.normal(0, 0.2, n)).astype(np.float32)
    x = x * random.uniform(0.8, 1.2, n) + random.uniform(-0.06, 0.06, n)
    x = x + random.standard_normal(x.shape, np.float32) * random.uniform(0, 0.04, n)
    return np.clip(x * 255, 0, 255).astype(np.uint8)


def dense_loss(
    visual: Any, heads: Heads, batch: Pool, contract: Contract, first_lesion: int, asked: Tensor
) -> dict[str, Tensor]:
    """asked: bool[C], labels whose boxes are taught; from `first_lesion` on they are lesions."""
    n, height, width = batch.pictures.shape
    p, m = contract.patch, contract.merge
    rows, columns = height // p, width // p
    x_NPD = whole_picture_pass(visual, patchify(batch.pictures, contract), rows, columns, m)
    tokens = merge(visual, x_NPD)
    in_patches = patch_counts(batch.labels, batch.cores, heads.labels, p)
    counts = torch.from_numpy(in_patches).float().view(n, heads.labels, rows // m, m, columns // m, m)
    in_patch = counts.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, heads.labels) >= LEAST_IN_PATCH
    in_token = counts.sum((3, 5)).flatten(2).transpose(1, 2)
    is_there = in_token >= LEAST_IN_PATCH
    taught = torch.from_numpy(batch.taught)[:, None]
    is_lesion = torch.arange(heads.labels) >= first_lesion
    importance = torch.where(is_lesion, RARE, 1.0)
    # what is painted but can't be seen is neither a lesion nor none
    seen = (is_there & taught)[..., is_lesion].any(-1)
    in_doubt = (is_there & ~taught)[..., is_lesion].any(-1) & ~seen
    any_lesion = bce(heads.lesion(tokens)[..., 0], seen.float(), reduction="none", pos_weight=torch.tensor(RARE / 2))
    told = batch.taught[np.arange(n)[:, None, None], batch.cores]
    core, counted = (pixels_of(mask, contract) for mask in ((batch.cores > 0) & told, told))
    losses = {
        "patch": (bce(heads.patch(x_NPD), in_patch.float(), reduction="none", pos_weight=importance) * taught).mean(),
        "token": (bce(heads.token(tokens), is_there.float(), reduction="none", pos_weight=importance) * taught).mean(),
        "lesion": (any_lesion * ~in_doubt).mean(),
        "pixels": bce(heads.pixels(x_NPD), core, counted, pos_weight=torch.tensor(PIXEL)),
    }
    located = (is_there & taught & asked) * torch.where(is_lesion, BOXED, 1.0)
    share = located / located.sum().clamp(min=1)
    ill = seen / seen.sum().clamp(min=1)
    which = torch.where(taught & is_lesion, in_token, -1.0).argmax(-1)
    around = heads.around(tokens)
    if batch.boxes is not None:
        scale = torch.tensor([width, height, width, height])
        boxes = torch.from_numpy(batch.boxes).float() / scale
        off = (heads.box(tokens).view(n, -1, heads.labels, 4) - boxes[:, None]).abs().mean(-1)
        losses["box"] = (off * share).sum()
        losses["around"] = ((around[..., :4] - boxes[torch.arange(n)[:, None], which]).abs().mean(-1) * ill).sum()
    if batch.cuboids is not None:
        cuboids = torch.from_numpy(batch.cuboids)
        off = (heads.cuboid(tokens).view(n, -1, heads.labels, 6) - cuboids[:, None]).abs().mean(-1)
        losses["cuboid"] = (off * share).sum()
        losses["around"] = ((around - cuboids[torch.arange(n)[:, None], which]).abs().mean(-1) * ill).sum()
    return losses


def pixels_of(masks: np.ndarray, contract: Contract) -> Tensor:
    """bool[n, h, w] -> float32[n, patches, patch * patch], 0 or 1, in the order of the tower's patches."""
    return (patchify(masks.astype(np.uint8) * 255, contract)[..., : contract.patch**2] > 0).float()


def swapped(names: Sequence[str]) -> np.ndarray:
    """The label of the other side, int[C]; of what has no side, its own."""
    return np.array([names.index(twin(name) or name) for name in names])


def optimisers(visual: Any, heads: Heads, lr: float) -> list[torch.optim.Optimizer]:
    """Muon (arXiv 2502.16982) for the tower's matrices, AdamW for all else; one learning rate means the same in both.

    It gets in 400 steps where AdamW gets in about 800 (docs/LOG.md).
    """
    matrices = [p for p in visual.parameters() if p.ndim == 2]
    others = [*(p for p in visual.parameters() if p.ndim != 2), *heads.parameters()]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=lr, weight_decay=0.02, betas=(0.9, 0.98)),
    ]


def teach_tower(
    visual: Any,
    pools: Sequence[tuple[Pool, int]],
    names: Sequence[str],
    first_lesion: int,
    contract: Contract,
    *,
    steps: int,
    lr: float,
    random: np.random.Generator,
    report: Callable[[int, dict[str, float]], None],
) -> None:
    """pools: pictures, and how many of them a step takes; two thirds of those show a lesion."""
    with torch.random.fork_rng():
        torch.manual_seed(int(random.integers(2**31)))
        sizes = visual.patch_embed.proj.out_channels, visual.merger.mlp[-1].out_features
        heads = Heads(*sizes, len(names), contract.patch)
    parts = optimisers(visual, heads, lr)
    trained = [p for part in parts for group in part.param_groups for p in group["params"]]
    asked = torch.tensor([name not in NOT_ASKED for name in names])
    ill = [pool.ill for pool, _ in pools]
    swap = swapped(names)
    for step in range(steps):
        for group in (group for part in parts for group in part.param_groups):
            group["lr"] = lr * min(1, (step + 1) / 50) * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        seen: dict[str, float] = {}
        for (pool, n), with_lesion in zip(pools, ill, strict=True):
            sick = with_lesion[random.integers(0, len(with_lesion), 2 * n // 3)]
            batch = pool.take(np.concatenate([sick, random.integers(0, len(pool.pictures), n - len(sick))]))
            batch = moved(batch, swap, random)
            batch = replace(batch, pictures=disturbed(batch.pictures, random))
            losses = dense_loss(visual, heads, batch, contract, first_lesion, asked)
            torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum().backward()
            seen |= {
                f"{name}_{pool.pictures.shape[1]}x{pool.pictures.shape[2]}": loss.item()
                for name, loss in losses.items()
            }
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for part in parts:
            part.step()
            part.zero_grad(set_to_none=True)
        report(step + 1, seen)
