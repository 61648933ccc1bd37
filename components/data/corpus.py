"""The pretraining corpus: heads of the training subjects only, with their slices and questions, for stage `base`.

    images.npy        int16 (n, x, y, z) RAS+, as `data` stores it: HU of a CT, grey levels of an MR
    labels.npy        uint8 (n, x, y, z): ids of `NAMES`, as if nobody were ill
    cores.npy         uint8 (n, x, y, z): 0, or len(NAMES) + k in the core of lesion kind k
    studies.jsonl     the volumes and some of their slices: where, what is plain to see, what is hidden, questions
    meta.json         names, affine, first lesion id, reading matter for the tokenizer
    closer/           sealed shards: other heads, on the data set's grid, some of whose lesions have a centre of another
                      tone, and the questions about them that only a crop answers

The same painter, truth and questions as the data set's, on other seeds and a coarser grid. Each head has
its own seed, so the bytes don't depend on the number of workers.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

from components.data import contrasts, heads, lesions, questions, studies
from components.data.anatomy import ATLAS, Subject, subjects
from components.data.balance import balance
from components.data.labels import NAMES
from components.data.scene import Scene
from components.data.studies import FIELD_MM
from model.imaging import shards
from model.imaging.shards import Study
from model.interface.boxes import Box
from model.interface.question import Question

TRAIN_SUBJECTS = ("9861", "10021", "12876", "14380", ATLAS)
GRID = heads.Grid((96, 96, 64), FIELD_MM)
CLOSER_GRID = heads.Grid((128, 128, 64), FIELD_MM)
"""As the data set's, or a crop of an image would show nothing that its picture doesn't."""
CLOSER = "closer"
CLOSER_SPLIT = "train"
SLICES = 6
"""Of each head."""
ASKED = {2: 10, 3: 14}
"""Questions made about a slice and about a volume; balancing keeps some."""
KINDS = tuple(lesions.KINDS)
WORDED = 400
"""Studies whose questions the tokenizer is trained on."""


Close = tuple[list[Study], list[Question]]
Made = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], list[dict[str, Any]], list[Question]]


def make(i: int, seed: int, anatomy: dict[str, Subject]) -> Made:
    """Head i of a corpus: (image, labels, cores), its studies, their questions."""
    random = np.random.default_rng([seed, i])
    subject = anatomy[TRAIN_SUBJECTS[i % len(TRAIN_SUBJECTS)]]
    head = studies.make_head(random, f"corpus-{i:05d}", "corpus", subject, contrasts.TRAINED, GRID)
    told, asked = [], []
    for study, scene in [studies.whole(head), *studies.slices(random, head, SLICES)]:
        told.append(_told(i, scene, head.contrast))
        asked += [
            replace(question, licence="", provenance="")
            for question in questions.ask(scene, ASKED[study.volume.dimension], random)
        ]
    cores = np.zeros_like(head.labels)
    for lesion in head.lesions:
        cores[lesion.core] = len(NAMES) + KINDS.index(lesion.kind)
    return (head.voxels.astype(np.int16), head.labels, cores), told, asked


def make_closer(i: int, seed: int, anatomy: dict[str, Subject]) -> Close:
    """Studies of head i of `closer/` about which something fine can be asked, and those questions."""
    random = np.random.default_rng([seed, i, 1])
    subject = anatomy[TRAIN_SUBJECTS[i % len(TRAIN_SUBJECTS)]]
    name = f"{CLOSER}-{i:05d}"
    head = studies.make_head(random, name, CLOSER_SPLIT, subject, contrasts.TRAINED, CLOSER_GRID, centres=True)
    shown: list[Study] = []
    asked: list[Question] = []
    for study, scene in [studies.whole(head), *studies.slices(random, head, SLICES)]:
        if fine := [question for question in questions.ask(scene, ASKED[scene.dimension], random) if question.fine]:
            shown.append(study)
            asked += fine
    return shown, asked


def _told(head: int, scene: Scene, contrast: str) -> dict[str, Any]:
    """plane: "" for the whole volume; at: index of a slice along its axis."""
    plane = scene.plane if scene.dimension == 2 else ""
    return {
        "study": scene.study,
        "head": head,
        "plane": plane,
        "at": int(scene.study.rsplit("-", 1)[1]) if plane else 0,
        "modality": contrasts.modality_of(contrast),
        "seen": {lesion.kind: asdict(_box(lesion.core)) for lesion in scene.lesions},
        "hidden": sorted(scene.hidden),
    }


def _box(core: np.ndarray) -> Box:
    where = ndi.find_objects(core.view(np.uint8))[0]
    return Box.of((*(s.start for s in where), *(s.stop for s in where)))


def wording(asked: list[Question]) -> list[str]:
    """Questions, options and rationales, each once: what a tokenizer should know."""
    found: dict[str, None] = {}
    for question in asked:
        found |= dict.fromkeys([question.text, *question.options, *(remark.text for remark in question.rationale)])
    return list(found)


def build_closer(out: Path, n: int, seed: int, workers: int, anatomy: dict[str, Subject]) -> None:
    """As many questions of one answer as of the other."""
    asked: list[Question] = []

    def stream() -> Iterator[Study]:
        with ProcessPoolExecutor(workers) as pool:
            for some, about in pool.map(partial(make_closer, seed=seed, anatomy=anatomy), range(n), chunksize=8):
                asked.extend(about)
                yield from some

    out.mkdir(parents=True, exist_ok=True)
    shards.write_studies(out, CLOSER_SPLIT, stream())
    shards.write_questions(out, CLOSER_SPLIT, balance(asked, len(asked), np.random.default_rng([seed, n, 1])))
    shards.seal(out)


def build_corpus(out: Path, n: int, seed: int, workers: int, closer: int) -> None:
    """n heads, and `closer` in closer/."""
    anatomy = subjects(TRAIN_SUBJECTS, workers=workers)
    build_closer(out / CLOSER, closer, seed, workers, anatomy)
    out.mkdir(parents=True, exist_ok=True)
    types = {"images": np.int16, "labels": np.uint8, "cores": np.uint8}
    files = [
        np.lib.format.open_memmap(out / f"{name}.npy", "w+", kind, (n, *GRID.shape)) for name, kind in types.items()
    ]
    told: list[dict] = []
    asked: list[Question] = []
    with ProcessPoolExecutor(workers) as pool:
        made = pool.map(partial(make, seed=seed, anatomy=anatomy), range(n), chunksize=8)
        for i, (arrays, here, about) in enumerate(made):
            for file, array in zip(files, arrays, strict=True):
                file[i] = array
            told += here
            asked += about
    for file in files:
        file.flush()
    random = np.random.default_rng([seed, n])
    kept: dict[str, list[dict]] = defaultdict(list)
    for question in balance(asked, len(asked), random):
        kept[question.study].append(question.to_json())
    with (out / "studies.jsonl").open("w") as lines:
        for row in told:
            lines.write(json.dumps(row | {"questions": kept[row["study"]]}) + "\n")
    read = {row["study"] for row in told[:WORDED]}
    meta = {"names": [*NAMES, *KINDS], "first_lesion": len(NAMES), "affine": GRID.affine.tolist()}
    meta["wording"] = wording([question for question in asked if question.study in read])
    (out / "meta.json").write_text(json.dumps(meta))


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the pretraining corpus.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=1500)
    parser.add_argument("--closer", type=int, default=600)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    build_corpus(args.out, args.n, args.seed, args.workers, args.closer)


if __name__ == "__main__":
    main()
