"""Stage `base`: the tiny model learns names and places, from nothing, on two cores in about an hour.

    corpus -> scenes -> tokenizer -> tower (dense) -> language (lessons) -> checkpoints/base

A fresh clone has the result and skips this stage; `dvc repro --force base` makes it again.
"""

import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file

from components.stage import command
from components.training.base.language import encode_scenes, teach
from components.training.base.lessons import Teacher
from components.training.base.scenes import FIELD, Corpus, Scene
from components.training.base.tower import crop_pool, pool_of, teach_tower
from model.interface.contract import Contract
from model.vlm import checkpoint as folders
from model.vlm.backbone import TinySize, freeze_tower, tiny
from model.vlm.tokenizer import train as train_tokenizer
from model.vlm.tokens import Vocabulary

PLANES = ("axial", "coronal", "sagittal")


class BaseConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: Path = Path(".cache/corpus")
    """Folder that `components.data.corpus` filled."""
    out: Path = Path("checkpoints/base")
    results: Path = Path("results/base/metrics.json")
    seed: int = 11
    vocab: int = Field(default=1100, ge=600)
    """Tokens, specials and single bytes included."""
    slices_per_volume: int = Field(default=6, ge=3)
    """2D scenes cut from each volume, planes in turn."""
    tower_steps: int = Field(default=2000, ge=1)
    tower_lr: float = Field(default=2e-3, gt=0)
    tower_batch: tuple[int, int, int, int] = (32, 14, 12, 12)
    """Pictures a step: slices of volumes, axial images, other images, crops."""
    steps: int = Field(default=1300, ge=1)
    """Of the language half."""
    lr: float = Field(default=2e-3, gt=0)
    rows: tuple[int, int] = (12, 3)
    """(images, volumes) a step."""
    lessons: tuple[int, int] = (8, 12)
    """About each (image, volume)."""
    threads: int = Field(default=2, ge=1)


def run(config: BaseConfig) -> dict:
    torch.set_num_threads(config.threads)
    contract, random = Contract(), np.random.default_rng(config.seed)
    corpus = Corpus.open(config.corpus)
    images, volumes = scenes_of(config, contract)
    tokenizer = train_tokenizer(reading(corpus, images, volumes, random), config.vocab)
    vlm = tiny(contract, tokenizer, TinySize(), config.seed)
    teach_tower_once(vlm.model.visual, images, volumes, corpus, contract, config, random)
    freeze_tower(vlm)
    vocabulary = Vocabulary(tokenizer)
    encode = partial(
        encode_scenes,
        vlm,
        names=corpus.names,
        first_lesion=corpus.lesions,
        contract=contract,
        vocabulary=vocabulary,
        random=random,
    )
    progress = Progress("language", config.steps)
    teach(
        vlm.train(),
        encode(images),
        encode(volumes),
        vocabulary,
        steps=config.steps,
        lr=config.lr,
        rows=config.rows,
        lessons=config.lessons,
        random=random,
        report=progress,
    )
    vlm.requires_grad_(True)
    digest = folders.save(folders.Checkpoint(vlm.eval(), tokenizer, contract, ""), config.out, torch.bfloat16)
    metrics = {
        "checkpoint": digest,
        "volumes": len(corpus),
        "images": len(images),
        "parameters": vlm.num_parameters(),
        **progress.smooth,
    }
    config.results.parent.mkdir(parents=True, exist_ok=True)
    config.results.write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def scenes_of(config: BaseConfig, contract: Contract) -> tuple[list[Scene], list[Scene]]:
    """(images, volumes) of the whole corpus."""
    count = len(Corpus.open(config.corpus))
    work = partial(
        scenes_of_volume, folder=config.corpus, contract=contract, slices=config.slices_per_volume, seed=config.seed
    )
    with ProcessPoolExecutor(config.threads) as pool:
        found = list(pool.map(work, range(count), chunksize=16))
    return [scene for cut, _ in found for scene in cut], [volume for _, volume in found]


def scenes_of_volume(i: int, *, folder: Path, contract: Contract, slices: int, seed: int) -> tuple[list[Scene], Scene]:
    """A volume, and slices of it: half of them through its lesion, if it has one."""
    corpus, random = Corpus.open(folder), np.random.default_rng([seed, i])
    cut = []
    for k in range(slices):
        plane = PLANES[k % 3]
        axis = FIELD[plane]
        ill = np.flatnonzero((corpus.labels[i] >= corpus.lesions).any(tuple(a for a in range(3) if a != axis)))
        n = corpus.labels.shape[1 + axis]
        at = (
            ill[random.integers(len(ill))]
            if len(ill) and random.random() < 0.6
            else random.integers(n // 6, n - n // 6)
        )
        cut.append(corpus.scene(i, contract, plane, int(at)))
    return cut, corpus.scene(i, contract)


def reading(corpus: Corpus, images: list[Scene], volumes: list[Scene], random: np.random.Generator) -> list[str]:
    """Text for the tokenizer: lessons, and the wording of the questions to come."""
    texts = list(corpus.wording)
    for scene in [*images[:600], *volumes[:200]]:
        flat = scene.dimension == 2
        teacher = Teacher(
            scene.boxes(corpus.names),
            scene.absent(corpus.names),
            corpus.names[corpus.lesions :],
            flat=flat,
            random=random,
        )
        texts += [text for lesson in teacher.lessons(6) for text in lesson]
    return texts


def teach_tower_once(
    visual: Any,
    images: list[Scene],
    volumes: list[Scene],
    corpus: Corpus,
    contract: Contract,
    config: BaseConfig,
    random: np.random.Generator,
) -> None:
    """Train the tower, or take the one an interrupted run of the same config and corpus left."""
    settings = config.model_dump_json(include={"seed", "slices_per_volume", "tower_steps", "tower_lr", "tower_batch"})
    kept = config.corpus / f"tower-{corpus.key(settings)}.safetensors"
    if kept.exists():
        visual.load_state_dict(load_file(kept))
        return
    square, oblong = _by_shape(images)
    labels = len(corpus.names)
    pools = [
        pool_of(volumes, labels, contract),
        pool_of(square, labels, contract),
        pool_of(oblong, labels, contract),
        crop_pool([*images, *volumes], labels, contract, random),
    ]
    teach_tower(
        visual.train(),
        list(zip(pools, config.tower_batch, strict=True)),
        corpus.names,
        corpus.lesions,
        contract,
        steps=config.tower_steps,
        lr=config.tower_lr,
        random=random,
        report=Progress("tower", config.tower_steps),
    )
    save_file(visual.state_dict(), kept.with_suffix(".part"))
    kept.with_suffix(".part").replace(kept)


def _by_shape(images: list[Scene]) -> tuple[list[Scene], list[Scene]]:
    shapes = [scene.labels.shape for scene in images]
    return [s for s, shape in zip(images, shapes, strict=True) if shape[1] == shape[2]], [
        s for s, shape in zip(images, shapes, strict=True) if shape[1] != shape[2]
    ]


class Progress:
    """Smoothed values, one line every fifty steps on stderr."""

    def __init__(self, what: str, steps: int) -> None:
        self.what, self.steps, self.began = what, steps, time.monotonic()
        self.smooth: dict[str, float] = {}

    def __call__(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.smooth[name] = round(0.98 * self.smooth.get(name, value) + 0.02 * value, 5)
        if step % 50 == 0 or step == self.steps:
            shown = " ".join(f"{name} {value:.4f}" for name, value in self.smooth.items())
            sys.stderr.write(f"{self.what} {step}/{self.steps} {time.monotonic() - self.began:.0f}s {shown}\n")


if __name__ == "__main__":
    sys.exit(command("base", BaseConfig, run))
