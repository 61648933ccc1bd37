"""Stage `base`: the tiny model learns names and places, from nothing, on two cores in an hour and three quarters.

    corpus -> scenes -> tokenizer -> tower (dense) -> language (lessons) -> checkpoints/base

A fresh clone has the result and skips this stage; `dvc repro --force base` makes it again.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from safetensors.torch import save_file

from components.stage import command
from components.training.base import language, lessons, tower
from components.training.base.language import encode_scenes, look_closer_at, teach
from components.training.base.lessons import Teacher
from components.training.base.scenes import CLOSER, Corpus, Scene
from components.training.base.tower import crop_pool, pool_of, teach_tower
from model.interface.contract import Contract
from model.interface.writing import replacing, write_text
from model.vlm import backbone
from model.vlm import checkpoint as folders
from model.vlm import tower as encoder
from model.vlm.backbone import TinySize, freeze_tower, tiny
from model.vlm.tokenizer import train as train_tokenizer
from model.vlm.tokens import Vocabulary

TOWER = {"seed", "vocab", "tower_steps", "tower_lr", "tower_batch"}
LANGUAGE = TOWER | {"steps", "lr", "rows", "lessons", "drills"}
"""Settings that decide the tower, and the language half on it."""


class BaseConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: Path = Path(".cache/corpus")
    """Folder that `components.data.corpus` filled."""
    out: Path = Path("checkpoints/base")
    results: Path = Path("results/base/metrics.json")
    seed: int = 11
    vocab: int = Field(default=1100, ge=600)
    """Tokens, specials and single bytes included."""
    tower_steps: int = Field(default=5600, ge=1)
    tower_lr: float = Field(default=5e-3, gt=0)
    tower_batch: tuple[int, int, int, int] = (24, 20, 18, 12)
    """Pictures a step: slices of volumes, axial images, other images, crops."""
    steps: int = Field(default=1000, ge=1)
    """Of the language half, lessons and drills of all kinds."""
    lr: float = Field(default=2e-3, gt=0)
    rows: tuple[int, int] = (12, 3)
    """(images, volumes) a step."""
    lessons: tuple[int, int] = (8, 12)
    """About each (image, volume)."""
    drills: tuple[int, int] = (48, 24)
    """Lessons without pictures a step, from (images, volumes)."""
    letter_steps: int = Field(default=600, ge=0)
    """Steps after those, with a third of the rows and drills of letters alone, by need."""
    letters: tuple[int, int] = (60, 24)
    """Such drills a step, from (images, volumes)."""
    closer_steps: int = Field(default=300, ge=0)
    """Steps after those, on what only a crop shows, beside as many other lessons and drills."""
    closer: tuple[int, int] = (12, 3)
    """Such (images, volumes) a step."""
    threads: int = Field(default=2, ge=1)


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


def run(config: BaseConfig) -> dict:
    torch.set_num_threads(config.threads)
    contract = Contract()
    # a stream each: a run that finds its tower kept goes on as one that trained it
    words, dense, random = (np.random.default_rng([config.seed, k]) for k in range(3))
    corpus = Corpus.open(config.corpus)
    images, volumes = scenes_of(config, contract)
    tokenizer = train_tokenizer(reading(corpus, images, volumes, words), config.vocab)
    vlm = tiny(contract, tokenizer, TinySize(), config.seed)
    once(
        kept(config, corpus, contract, TOWER, (tower,)),
        vlm.model.visual,
        lambda show: teach_tower_of(vlm.model.visual, images, volumes, corpus, contract, config, dense, show),
        Progress("tower", config.tower_steps),
    )
    freeze_tower(vlm)
    vocabulary = Vocabulary(tokenizer)
    taught = [encode_scenes(vlm, scenes, corpus.names, contract, vocabulary, random) for scenes in (images, volumes)]
    show, drill = Progress("language", config.steps), Progress("letters", config.letter_steps)
    closer = Progress("closer", config.closer_steps)
    lesson = partial(teach, vlm.train(), *taught, vocabulary, lr=config.lr, lessons=config.lessons, random=random)
    once(
        kept(config, corpus, contract, LANGUAGE, (tower, language, lessons)),
        vlm.model.language_model,
        lambda show: lesson(steps=config.steps, rows=config.rows, drills=config.drills, report=show),
        show,
    )
    random.bit_generator.state = np.random.default_rng([config.seed, 3]).bit_generator.state  # wherever it stands
    later = partial(
        lesson,
        rows=(config.rows[0] // 3, config.rows[1] // 3),
        drills=config.letters,
        drilled=("letter",),
        by_need=True,
        boxing=0.0,
    )
    later(steps=config.letter_steps, report=drill)
    made = folders.Checkpoint(vlm, tokenizer, contract, "")
    fine = look_closer_at(config.corpus / CLOSER, made)
    later(steps=config.closer_steps, closer=fine, close=config.closer, report=closer)
    vlm.eval().requires_grad_(True)
    digest = folders.save(made, config.out, torch.bfloat16)
    for file in config.corpus.glob("kept-*"):
        file.unlink()  # for an interrupted run only: made again means made again
    metrics = {
        "checkpoint": digest,
        "volumes": len(volumes),
        "images": len(images),
        "parameters": vlm.num_parameters(),
        **show.smooth,
        **{f"letters.{name}": value for name, value in drill.smooth.items()},
        **{f"closer.{name}": value for name, value in closer.smooth.items()},
    }
    write_text(config.results, json.dumps(metrics, indent=1) + "\n")
    return metrics


def scenes_of(config: BaseConfig, contract: Contract) -> tuple[list[Scene], list[Scene]]:
    """(images, volumes) of the whole corpus."""
    work = partial(_scene, folder=config.corpus, contract=contract)
    with ProcessPoolExecutor(config.threads) as pool:
        scenes = list(pool.map(work, range(len(Corpus.open(config.corpus))), chunksize=64))
    return [scene for scene in scenes if scene.dimension == 2], [scene for scene in scenes if scene.dimension == 3]


def _scene(i: int, *, folder: Path, contract: Contract) -> Scene:
    return _opened(folder).scene(i, contract)


_opened = lru_cache(maxsize=1)(Corpus.open)


def reading(corpus: Corpus, images: list[Scene], volumes: list[Scene], random: np.random.Generator) -> list[str]:
    """Text for the tokenizer: lessons, and the wording of the questions to come."""
    lessons = [
        lesson
        for scene in [*images[:600], *volumes[:200]]
        for lesson in Teacher(scene, corpus.names, random).lessons(6)
    ]
    return [*corpus.wording, *(text for lesson in lessons for text in (lesson.text, lesson.answer))]


def teach_tower_of(
    visual: Any,
    images: list[Scene],
    volumes: list[Scene],
    corpus: Corpus,
    contract: Contract,
    config: BaseConfig,
    random: np.random.Generator,
    report: Callable[[int, dict[str, float]], None],
) -> None:
    square, oblong = _by_shape(images)
    labels = len(corpus.names)
    pools = [
        pool_of(volumes, labels),
        pool_of(square, labels),
        pool_of(oblong, labels),
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
        report=report,
    )


def once(file: Path, module: torch.nn.Module, train: Callable[[Progress], None], progress: Progress) -> None:
    """Train a module, or take what an interrupted run of the same code, config and corpus left of it."""
    if file.exists():
        with safe_open(file, "pt") as left:
            module.load_state_dict({name: left.get_tensor(name) for name in left.keys()})  # noqa: SIM118
            progress.smooth = json.loads(left.metadata()["seen"])
        return
    train(progress)
    with replacing(file) as part:
        save_file(module.state_dict(), part, {"seen": json.dumps(progress.smooth)})


def kept(
    config: BaseConfig, corpus: Corpus, contract: Contract, settings: set[str], modules: Sequence[ModuleType]
) -> Path:
    """Where a trained part waits for the next one; named by all that decides it."""
    told = config.model_dump_json(include=settings)
    code = "".join(Path(str(module.__file__)).read_text() for module in (*modules, backbone, encoder))
    return config.corpus / f"kept-{corpus.key(told + contract.digest() + code)}.safetensors"


def _by_shape(images: list[Scene]) -> tuple[list[Scene], list[Scene]]:
    shapes = [scene.labels.shape for scene in images]
    return [s for s, shape in zip(images, shapes, strict=True) if shape[1] == shape[2]], [
        s for s, shape in zip(images, shapes, strict=True) if shape[1] != shape[2]
    ]


if __name__ == "__main__":
    sys.exit(command("base", BaseConfig, run))
