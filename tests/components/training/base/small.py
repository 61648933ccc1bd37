"""A corpus of one head of two lobes with a mass in one of them, as the data room would write it."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from components.training.base.scenes import CLOSER, CLOSER_SPLIT, Corpus
from model.imaging import shards
from model.imaging.shards import Study
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.question import Question, Remark

CONTRACT = Contract(image_side=32, volume_side=32, slices=4, crop_side=16, crop_slices=2)
NAMES = ["background", "left lobe", "right lobe", "stem", "enhancing mass", "calcification"]
FIRST_LESION = 4
MASS, SHAPE = Box.of((17, 8, 2, 23, 16, 5)), (32, 32, 8)


def corpus(folder: Path) -> Corpus:
    random = np.random.default_rng(0)
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 3:16, 4:28], labels[0, 16:29, 4:28] = 1, 2
    cores = np.zeros_like(labels)
    cores[0, 17:23, 8:16, 2:5] = FIRST_LESION
    images = (100 * (labels > 0) + 100 * (cores > 0) + random.integers(0, 20, labels.shape)).astype(np.int16)
    for name, array in (("images", images), ("labels", labels), ("cores", cores)):
        np.save(folder / f"{name}.npy", array)
    studies = [row("volume", "", 0, ["enhancing mass"]), row("slice", "axial", 3, ["enhancing mass"])]
    studies += [row("healthy", "axial", 7, [], ["calcification"])]
    (folder / "studies.jsonl").write_text("".join(json.dumps(study) + "\n" for study in studies))
    meta = {"names": NAMES, "first_lesion": FIRST_LESION, "affine": np.diag([2, 2, 4, 1]).tolist(), "wording": []}
    (folder / "meta.json").write_text(json.dumps(meta))
    return Corpus.open(folder)


def closer(folder: Path) -> None:
    """A corpus's closer/: the head as a volume and two fine questions about its mass."""
    kept = Corpus.open(folder)
    volume = Volume(np.ascontiguousarray(kept.arrays["images"][0]), kept.affine, "MR", True, "axial")
    told = {"id": "near", "study": "near", "subject": "donor", "split": CLOSER_SPLIT, "dimension": 3, "fine": True}
    said = Remark("The enhancing mass is at", MASS, "enhancing mass", "lesion")
    kinds = (
        ("lesion analysis", "Is the enhancing mass of one tone or several?", ("one", "several"), "There is one."),
        (
            "existence verification",
            "Is another tone seen in the enhancing mass?",
            ("No", "Yes"),
            "No other tone is seen.",
        ),
    )
    asked = [
        Question(**told, family=family, text=text, options=options, answer=0, rationale=(said, Remark(last)))
        for family, text, options, last in kinds
    ]
    (folder / CLOSER).mkdir()
    study = Study("near", "donor", CLOSER_SPLIT, "T1", volume, "near", "", "")
    shards.write_studies(folder / CLOSER, CLOSER_SPLIT, [study])
    shards.write_questions(folder / CLOSER, CLOSER_SPLIT, asked)
    shards.seal(folder / CLOSER)


def row(name: str, plane: str, at: int, seen: list[str], hidden: list[str] | None = None) -> dict:
    z = (0, 1) if plane else (MASS.low[2], MASS.high[2])
    box = Box.of((*MASS.low[:2], z[0], *MASS.high[:2], z[1]))
    question = Question(
        id=f"{name}-0",
        study=name,
        subject="donor",
        split="corpus",
        dimension=2 if plane else 3,
        family="size comparison",
        text="Which is larger, the enhancing mass or the right lobe?",
        options=("enhancing mass", "right lobe"),
        answer=1,
        rationale=(
            Remark("The enhancing mass is at", box, "enhancing mass", "lesion"),
            Remark("The right lobe is at", Box.of((16, 4, 0, 29, 28, 1 if plane else 8)), "right lobe", "own"),
            Remark("The right lobe is larger."),
        ),
    )
    return {
        "study": name,
        "head": 0,
        "plane": plane,
        "at": at,
        "modality": "MR",
        "seen": {kind: asdict(box) for kind in seen},
        "hidden": hidden or [],
        "questions": [question.to_json()] if seen else [],
    }
