"""The data card: what is in the data set, how it is split, what it can't tell. And metrics.json, its numbers.

Everything is read back from the shards, so the card tells what was written, not what was meant.
"""

import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from components.data.anatomy import Subject
from components.data.config import DataConfig
from components.data.lesions import VISIBLE_CNR
from components.data.pictures import sheet
from components.data.studies import LEAST_SEEN
from model.imaging import shards
from model.imaging.prepare import prepare
from model.imaging.shards import Study
from model.imaging.sides import side_of
from model.interface.contract import Contract
from model.interface.laterality import side_said
from model.interface.question import FAMILIES, Question
from model.interface.writing import write_text

SPLITS = ("train", "val", "test", "real", "reference", "steady", "shifted")
EXAMPLES = (("T1", "axial", 2), ("T2", "coronal", 2), ("FLAIR", "axial", 2), ("CT", "axial", 2),
            ("T1", "sagittal", 2), ("CT", "coronal", 2), ("FLAIR", "axial", 3), ("CT", "axial", 3))  # fmt: skip
"""Contrast, plane and dimension of the pictures on the card."""


def write(config: DataConfig, anatomy: dict[str, Subject]) -> dict[str, Any]:
    """card.md and card.png beside the shards; metrics.json and the picture among the results -> the metrics."""
    questions = {split: shards.read_questions(config.out, split) for split in SPLITS}
    metrics = {
        "questions": {split: _counts(asked) for split, asked in questions.items()},
        "studies": {split: _studies(config.out, split) for split in SPLITS},
        "guessing": {
            split: _guessing(questions["train"], asked) for split, asked in questions.items() if split != "train"
        },
        "laterality": _laterality(config.out, questions),
        "landmark_residual_mm": {name: round(subject.residual_mm, 3) for name, subject in sorted(anatomy.items())},
    }
    config.results.mkdir(parents=True, exist_ok=True)
    _picture(config.out, questions["test"]).save(config.out / "card.png", optimize=True)
    shutil.copyfile(config.out / "card.png", config.results / "card.png")
    write_text(config.out / "card.md", _page(metrics))
    write_text(config.results / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    return metrics


def _counts(questions: list[Question]) -> dict[str, Any]:
    """By dimension: how many, by family and contrast, how long, and how often each fixed answer is right."""
    found = {}
    for dimension in (2, 3):
        asked = [q for q in questions if q.dimension == dimension]
        if asked:
            found[f"{dimension}d"] = {
                "n": len(asked),
                "family": _tally(q.family for q in asked),
                "contrast": _tally(q.contrast for q in asked),
                "letter": _tally(q.letter or "" for q in asked),
                "about_a_lesion": sum(any(r.kind == "lesion" for r in q.rationale) for q in asked),
                "right": _right(asked),
            }
    return found


def _right(questions: list[Question]) -> dict[str, dict[str, int]]:
    """Of questions with the same two options: how often each is right."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for q in questions:
        if len(q.options) == 2 and not q.regions:
            pair = sorted(q.options)
            if q.family in ("existence verification", "spatial relationship") or pair == ["left", "right"]:
                found[f"{q.family}: {' or '.join(pair)}"][q.options[q.answer or 0]] += 1
    return {pair: dict(sorted(found[pair].items())) for pair in sorted(found)}


def _studies(folder: Path, split: str) -> dict[str, Any]:
    kinds, heads, people = [], set(), set()
    for study in shards.read_studies(folder, split):
        kinds.append(f"{study.volume.dimension}d {study.contrast}")
        heads.add(study.group)
        people.add(study.subject)
    return {"n": len(kinds), "heads": len(heads), "subjects": sorted(people), "kind": _tally(kinds)}


def _laterality(folder: Path, questions: dict[str, list[Question]]) -> dict[str, int]:
    """Over all studies: boxes of things whose name says left or right, by the side of the body they lie on."""
    found = Counter({"agree": 0, "middle": 0, "wrong": 0})
    for split, asked in questions.items():
        sided: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for remark, study in ((remark, q.study) for q in asked for remark in q.rationale):
            if remark.box and side_said(remark.names):
                sided[study][remark.names] = remark.box
        for study in (study for study in shards.read_studies(folder, split) if study.id in sided):
            prepared = prepare(study.volume, Contract())
            for name, box in sided[study.id].items():
                side = side_of(prepared.frame.to_model(box), prepared)
                found["middle" if side == "middle" else "agree" if side == side_said(name) else "wrong"] += bool(side)
    return dict(found)


def _guessing(train: list[Question], asked: list[Question]) -> dict[str, dict[str, Any]]:
    """By dimension and family: accuracy of the offered option that was right most often in training, unseen."""
    worth: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for q in train:
        for key in (q.text, q.family):
            worth[q.dimension, key][q.options[q.answer or 0]] += 1
    found: dict[str, dict[str, Any]] = {}
    for dimension in (2, 3):
        for family in FAMILIES:
            some = [q for q in asked if (q.dimension, q.family) == (dimension, family)]
            if some:
                right = sum(_guess(worth, q) == q.answer for q in some)
                found[f"{dimension}d {family}"] = {"n": len(some), "majority": round(right / len(some), 3)}
                found[f"{dimension}d {family}"]["chance"] = round(sum(1 / len(q.options) for q in some) / len(some), 3)
    return found


def _guess(worth: dict[tuple[int, str], Counter[str]], question: Question) -> int:
    usual = worth[question.dimension, question.text] or worth[question.dimension, question.family]
    return max(range(len(question.options)), key=lambda i: usual[question.options[i]])


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _picture(folder: Path, questions: list[Question]) -> Image.Image:
    """A question of each kind of example, drawn as a model of the default contract sees it."""
    asked = defaultdict(list)
    for q in questions:
        asked[q.study].append(q)
    chosen: dict[tuple[str, str, int], tuple[Study, Question]] = {}
    for study in shards.read_studies(folder, "test"):
        key = study.contrast, study.volume.plane, study.volume.dimension
        family = FAMILIES[EXAMPLES.index(key) % len(FAMILIES)] if key in EXAMPLES else ""
        boxed = [q for q in asked[study.id] if any(r.kind == "lesion" for r in q.rationale) or q.regions]
        boxed.sort(key=lambda q: q.family != family)
        if key in EXAMPLES and boxed and (key not in chosen or chosen[key][1].family != family):
            chosen[key] = study, boxed[0]
    return sheet(chosen[key] for key in EXAMPLES if key in chosen)


def _page(metrics: dict[str, Any]) -> str:
    """The card as Markdown."""
    rows = []
    for split in SPLITS:
        told, asked = metrics["studies"][split], metrics["questions"][split]
        people, flat, deep = (
            ", ".join(told["subjects"]),
            asked.get("2d", {}).get("n", 0),
            asked.get("3d", {}).get("n", 0),
        )
        rows.append(f"| {split} | {people} | {told['heads']} | {told['n']} | {flat} | {deep} |")
    guess = [
        f"| {name} | {row['n']} | {row['chance']} | {row['majority']} |"
        for name, row in metrics["guessing"]["test"].items()
    ]
    residual = ", ".join(f"{name} {mm}" for name, mm in metrics["landmark_residual_mm"].items())
    numbers = {"cnr": VISIBLE_CNR, "flat": LEAST_SEEN[2], "deep": LEAST_SEEN[3], **metrics["laterality"]}
    return PAGE.format(splits="\n".join(rows), guessing="\n".join(guess), residual=residual, **numbers)


PAGE = """# Data card

Painted head studies with exact masks, and questions about them with grounded rationales. One study (`real`) has
real intensities. Made by `python -m components.data.build` from the label maps inside two Python packages; the same
seed gives the same bytes.

![Eight examples](card.png)

Of all boxes drawn around something whose name says left or right, {agree} lie on that side of the body, {middle} at its
middle and {wrong} on the other side.

Pictures are as a model of the default contract sees them: radiological, the patient's right at the left of axial and
coronal pictures. Boxes are the teacher's; `>` marks the right option.

## Splits

By subject, always; mirrored copies stay with their subject, with left and right swapped in every name.

| split | subjects | heads | studies | questions, 2D | questions, 3D |
|---|---|---|---|---|---|
{splits}

`reference` and `steady` are windows like training, `shifted` is a contrast kept from training (DWI).
`group` of a study is the head it was cut from: resample by it, never by question.

## What guessing gets

Accuracy on `test` of the option that was right most often for that wording in `train`, with no picture at all.

| dimension and family | n | chance | majority |
|---|---|---|---|
{guessing}

## How it is made

A subject's labels are warped, six kinds of lesion are drawn with exact masks, and tissue classes are painted as T1,
T2, FLAIR or CT with texture, point spread, bias field and noise. A lesion is asked about only where it can be seen:
contrast to noise of {cnr} or more over at least {flat} pixels of a slice or {deep} voxels of a volume, on the picture
a model is shown. What is painted but not seen is never asked about, neither as present nor as absent. Every family
keeps a margin: sizes differ by a quarter, centres by 10 mm, 70 % of a lesion lies in its host.

## What it can't tell

* Painted images are not scans: no vessels, no face, no mass effect, tissue without its own variation. Accuracy here
  says nothing about patients.
* No donor's map has white matter, ventricles, cerebellum, brainstem or corpus callosum: those are one atlas brain,
  carried over by a spline through common landmarks (mean residual, mm: {residual}). Remarks call them
  `propagated`; the donor's own cortex and deep grey matter (`own`) are the honest held-out test.
* One subject in `val`, one in `test`: intervals over heads say how sure a number is for this brain, not for people.
* `real` is an average of 152 people, without lesions; its labels fit to a voxel or two.
* Absolute volumes are not to be trusted: two of the six donors are in another scale than the others.

## Licences

Own labels of the donors: CC BY 4.0. All that touches cvs_avg35, which is nearly everything: FreeSurfer's licence, which
asks for registration. The real T1: McGill's notice. Texts and citations: docs/data_licences.md. Each study and question
carries its own `licence` and `provenance`.
"""
