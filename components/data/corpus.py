"""The pretraining corpus: volumes with label maps of the training subjects only, for stage `base`.

    images.npy   int16 (n, x, y, z) RAS+: HU of a CT, thousandths of an MR's scale
    labels.npy   uint8 (n, x, y, z): ids of `NAMES`, then len(NAMES) + k for the core of lesion kind k
    meta.json    names, affine, first lesion id, wording, and of each volume its contrast and lesions

Each volume has its own seed, so the bytes don't depend on the number of workers.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from components.data import contrasts, heads, lesions
from components.data.anatomy import ATLAS, Subject, subjects
from components.data.labels import NAMES
from components.data.questions import ask
from components.data.scene import Scene, Seen

TRAIN_SUBJECTS = ("9861", "10021", "12876", "14380", ATLAS)
GRID = heads.Grid((96, 96, 64), (208.0, 208.0, 176.0))
STRIPPED = 0.15
"""Share of MRs without a skull."""
KINDS = tuple(lesions.KINDS)
WORDED = 120
"""Scenes whose questions are kept as reading matter."""


def volume(i: int, seed: int, anatomy: dict[str, Subject]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Volume i of a corpus: image, labels, description."""
    random = np.random.default_rng([seed, i])
    subject = TRAIN_SUBJECTS[i % len(TRAIN_SUBJECTS)]
    contrast = contrasts.TRAINED[random.integers(len(contrasts.TRAINED))]
    count = int(random.choice(3, p=(0.2, 0.7, 0.1)))
    kinds = [KINDS[k] for k in random.permutation(len(KINDS))[:count]]
    labels, _ = heads.warp(random, anatomy[subject], GRID)
    drawn = lesions.draw(random, labels, GRID.spacing_mm, kinds)
    stripped = contrast != "CT" and random.random() < STRIPPED
    image = contrasts.paint(random, labels, drawn, contrast, GRID.spacing_mm, stripped=stripped)
    seen = [
        {"kind": lesion.kind, "cnr": round(lesions.contrast_to_noise(image, labels, lesion, GRID.spacing_mm), 3)}
        for lesion in drawn
    ]
    marked = labels.copy()
    for lesion in drawn:
        marked[lesion.core] = len(NAMES) + KINDS.index(lesion.kind)
    scale = 1 if contrast == "CT" else 1000
    told = {"subject": subject, "contrast": contrast, "modality": contrasts.modality_of(contrast), "lesions": seen}
    return np.clip(np.rint(image * scale), -1024, 3000).astype(np.int16), marked, told


def wording(image_of: dict[str, Subject], seed: int) -> list[str]:
    """Questions, options and rationales as the data stage words them: what a tokenizer should know."""
    found: dict[str, None] = {}
    for i in range(WORDED):
        random = np.random.default_rng([seed, i, 1])
        labels, _ = heads.warp(random, image_of[TRAIN_SUBJECTS[i % len(TRAIN_SUBJECTS)]], GRID)
        kinds = [KINDS[i % len(KINDS)]] if i % 5 else []
        seen = tuple(
            Seen(lesion.kind, lesion.core, 9.0) for lesion in lesions.draw(random, labels, GRID.spacing_mm, kinds)
        )
        x, y, z = GRID.spacing_mm.tolist()
        for question in ask(
            Scene(f"w{i}", "", "", "", 3, "axial", labels, seen, frozenset(), (x, y, z), True, "", ""), 12, random
        ):
            found |= dict.fromkeys([question.text, *question.options, *(remark.text for remark in question.rationale)])
    return list(found)


def build_corpus(out: Path, n: int, seed: int, workers: int) -> None:
    anatomy = subjects(TRAIN_SUBJECTS, workers=workers)
    out.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(out / "images.npy", "w+", np.int16, (n, *GRID.shape))
    labels = np.lib.format.open_memmap(out / "labels.npy", "w+", np.uint8, (n, *GRID.shape))
    told = []
    with ProcessPoolExecutor(workers) as pool:
        for i, (image, marked, description) in enumerate(
            pool.map(partial(volume, seed=seed, anatomy=anatomy), range(n), chunksize=8)
        ):
            images[i], labels[i] = image, marked
            told.append(description)
    images.flush()
    labels.flush()
    meta = {"names": [*NAMES, *KINDS], "first_lesion": len(NAMES), "affine": GRID.affine.tolist(), "volumes": told}
    meta["wording"] = wording(anatomy, seed)
    (out / "meta.json").write_text(json.dumps(meta))


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the pretraining corpus.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    build_corpus(args.out, args.n, args.seed, args.workers)


if __name__ == "__main__":
    main()
