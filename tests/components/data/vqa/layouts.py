"""Miniatures of question answering sets, laid out as they are published, with every trap in a row of its own."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from components.data.vqa.item import Item, Report
from components.data.vqa.registry import adapter

Rows = Sequence[Mapping[str, Any]]


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (9, 11), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def put(path: Path, content: bytes | str = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def put_csv(path: Path, rows: Rows) -> None:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    put(path, stream.getvalue())


def put_parquet(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)


def choices(*texts: str, column: str = "Choice {}") -> dict[str, str]:
    return {column.format(letter): text for letter, text in zip("ABCD", texts, strict=False)}


def slake(root: Path) -> Path:
    def row(k: int, image: int, question: str, answer: str, lang: str = "en") -> dict[str, Any]:
        return {"img_id": image, "img_name": f"xmlab{image}/source.jpg", "question": question, "answer": answer,
                "q_lang": lang, "location": "Abdomen", "modality": "CT", "answer_type": "OPEN", "base_type": "vqa",
                "content_type": "Organ", "triple": ["vhead", "_", "_"], "qid": k}  # fmt: skip

    train = [
        row(0, 1, "Which organ is on the left side of this image?", "Liver"),
        row(1, 1, "Where is the lesion?", "Left Kidney"),
        row(2, 1, "Is the liver healthy?", "yes"),
        row(3, 2, "肝脏健康吗？", "是", "zh"),
        row(4, 1, "What is seen?", " "),
    ]
    put(root / "train.json", json.dumps(train, ensure_ascii=False))
    put(root / "validate.json", json.dumps([row(5, 3, "Is it a CT?", "No")]))
    # image 2 leaks, but in Chinese only
    put(root / "test.json", json.dumps([row(6, 2, "Which modality is it?", "CT")]))
    for k in (1, 2, 3):
        put(root / f"imgs/xmlab{k}/source.jpg", png(k))
    return root


def hub(root: Path, *, val: bool) -> Path:
    def row(seed: int, question: str, answer: str) -> dict[str, Any]:
        return {"image": {"bytes": png(seed), "path": f"{seed}.jpg"}, "question": question, "answer": answer}

    train = [row(1, "Is there a mass?", "yes"), row(2, "Where is it?", "left lung"), row(3, "What is it?", "a cyst")]
    put_parquet(root / "data/train-00000-of-00002-a1.parquet", train)
    put_parquet(root / "data/train-00001-of-00002-b2.parquet", [row(1, "Is it large?", "No.")])
    put_parquet(root / "data/test-00000-of-00001-c3.parquet", [row(3, "Is it a cyst?", "yes"), row(4, "Which?", "MR")])
    if val:
        put_parquet(root / "data/validation-00000-of-00001-d4.parquet", [row(2, "On which side?", "left")])
    return root


def pmc_vqa_2(root: Path) -> Path:
    def row(k: int, answer: str, *texts: str, split: str = "train") -> dict[str, Any]:
        return {"index": k, "Figure_path": f"PMC{k}_F1.jpg", "Caption": "c", "Question": f"What is {k}?",
                **choices(*texts), "Answer": answer, "split": split}  # fmt: skip

    put_csv(root / "train_2.csv", [
        row(1, "B", "A: liver", "B: spleen", "C: lung", "D: heart"),
        row(2, "A", "A. fumigatus", "C. albicans", "none", "both"),
        row(3, "B", "a", "same", "Same ", "d"),
        row(4, "A", "a", "b", "c", "d", split="test"),
    ])  # fmt: skip
    put_csv(root / "test_2.csv", [row(5, "D", "a", "b", "c", "d", split="test")])
    for k in range(1, 6):
        put(root / f"figures/PMC{k}_F1.jpg", png(k))
    return root


def pmc_vqa_1(root: Path) -> Path:
    row = {"Figure_path": "PMC7_F2.jpg", "Question": "What?", **choices(" A: ct ", " B: mr ", " C: us ", " D: xr ")}
    put_csv(root / "train.csv", [row | {"Anwser": "mr"}])
    put_csv(root / "test.csv", [row | {"Anwser": "C"}])
    put(root / "images/PMC7_F2.jpg", png(7))
    return root


def omni_med_vqa(root: Path) -> Path:
    def row(k: int, gt: str, *texts: str) -> dict[str, Any]:
        return {"dataset": "ACRIMA", "question_id": f"ACRIMA_{k}", "question_type": "Disease Diagnosis",
                "question": "What is it?", "gt_answer": gt, "image_path": f"Images/ACRIMA/{k}.png",
                **choices(*texts, column="option_{}"), "modality_type": "Fundus"}  # fmt: skip

    open_rows = [row(1, "No", "yes", "no"), row(2, "cyst", "cyst", "tumour", "Cyst"), row(3, "gone", "a", "b", "c")]
    restricted = row(4, "right eye", "left eye", "right eye")
    restricted["modality"] = restricted.pop("modality_type")
    put(root / "QA_information/Open-access/ACRIMA.json", json.dumps(open_rows))
    put(root / "QA_information/Restricted-access/B.json", json.dumps([restricted]))
    for k in range(1, 5):
        put(root / f"Images/ACRIMA/{k}.png", png(k))
    return root


def medxpertqa_mm(root: Path) -> Path:
    texts = {"A": "I", "B": "II", "C": "III", "D": "IV", "E": "V"}
    row = {"id": "MM-1", "question": "Which sign?\nAnswer Choices: (A) I (B) II (C) III (D) IV (E) V", "options": texts,
           "label": "E", "images": ["MM-1-a.jpeg", "MM-1-b.png"], "medical_task": "Diagnosis", "body_system": "Bones",
           "question_type": "Reasoning"}  # fmt: skip
    put(root / "MM/test.jsonl", json.dumps(row) + "\n\n" + json.dumps(row | {"id": "MM-2", "label": "F"}) + "\n")
    put(root / "MM/dev.jsonl", json.dumps(row | {"id": "MM-3", "label": "A"}))
    put(root / "images/MM-1-a.jpeg", png(1))
    put(root / "images/MM-1-b.png", png(2))
    return root


def m3d_vqa(root: Path) -> Path:
    def row(path: str, kind: int, question: str, answer: str, letter: str, *texts: str) -> dict[str, Any]:
        return {"Image Path": path, "Text": "report", "Question Type": kind, "Question": question,
                **choices(*texts), "Answer": answer, "Answer Choice": letter}  # fmt: skip

    rows = [
        row("ct_case/000001/Axial.npy", 1, "Which plane?", "axial", "B", "coronal", "axial", "sagittal", "oblique"),
        row("M3D_Cap_npy/ct_case/000001/Axial.npy", 5, "Where?", "left lung", "A", "left lung", "liver", "c", "d"),
        row("ct_case/000001/Axial.npy", 2, "Which phase?", "arterial", "D", "arterial", "b", "c", "d"),
    ]
    for split in ("train", "val", "test"):
        put_csv(root / f"M3D_VQA_{split}.csv", rows)
    put(root / "M3D_Cap_npy/ct_case/000001/Axial.npy")
    return root


def rad3d(root: Path) -> Path:
    def row(task: int, volume: str, question: str, answer: str, letter: str = "-", *texts: str) -> dict[str, Any]:
        return {"Task": task, "Subtask": 1, "VolumeName": volume, "Question": question, "Answer": answer,
                "QuestionType": "Close" if texts else "Open", "AnswerChoice": letter,
                **choices(*(texts or "----"))}  # fmt: skip

    existence = [
        row(4, "test_1_a_1.nii.gz", "Is there a lung nodule?", "Yes", "A", "Yes", "No", "-", "-"),
        row(4, "test_1_a_2.nii.gz", "Is there a lung  nodule?", "Yes", "A", "Yes", "No", "-", "-"),
        row(4, "test_2_b_1.nii.gz", "Is there a lung nodule?", "No", "A", "Yes", "No", "-", "-"),
    ]
    where = [
        row(2, "test_1_a_2.nii.gz", "Where is it?", "Left lower lobe."),
        row(2, "test_9_a_1.nii.gz", "Where is it?", "Liver"),
    ]
    put_csv(root / "3DRAD/test/Task4_Existence_Detection/Lung nodule.csv", existence)
    put_csv(root / "3DRAD/test/Task2_Anomaly_Detection/Abnormality_position.csv", where)
    put_csv(root / "3DRAD/train/Task2_Anomaly_Detection/Diagnosis.csv", [row(2, "train_3_a_1.nii.gz", "What?", "A.")])
    for name in ("valid_1/valid_1_a/valid_1_a_1", "valid_1/valid_1_a/valid_1_a_2", "valid_2/valid_2_b/valid_2_b_1"):
        put(root / f"dataset/valid_fixed/{name}.nii.gz")
    put(root / "dataset/train_fixed/train_3/train_3_a/train_3_a_1.nii.gz")
    return root


def radgenome_chestct(root: Path) -> Path:
    def row(volume: str, answer: str) -> dict[str, str]:
        return {"Volumename": volume, "Anatomy": "lung", "Question": "Is there an effusion?", "Answer": answer}

    for name, start in (("train", "train"), ("validation", "valid")):
        rows = [row(f"{start}_1_a_1.nii.gz", "Yes"), row(f"{start}_1_a_2.nii.gz", "No"), row(f"{start}_9_a_1", "No")]
        for kind in ("abnormality", "location", "presence", "size"):
            put_csv(root / f"dataset/radgenome_files/{name}_vqa_{kind}.csv", rows)
        put(root / f"dataset/{start}_preprocessed/{start}_1/{start}_1a/{start}_1_a_1.nii.gz")
    return root


def deep_tumor_vqa(root: Path) -> Path:
    def row(k: int, **changes: Any) -> dict[str, Any]:
        question = "In hepatitis A: how large is the spleen?"
        return {"qid": f"bench_{k:05d}", "image_id": "BDMAP_00000001", "spacing": "[0.83 0.83 5.0]",
                "shape": "(512, 512, 116)", "question": question, "answer": "Normal (no splenomegaly)",
                "mc_question": f"{question} A: Normal (no splenomegaly) B: Moderate C: Severe D: Mild",
                "correct_option": "A", "organ": "spleen", "lesion": False, "question_type": "medical reasoning",
                "question_subtype": "grading", "requires_tools": ["measure"]} | changes  # fmt: skip

    rows = [row(0), row(1, spacing="[0.83 0.83]"), row(2, correct_option="E"), row(3, answer="Mild")]
    test = {"version": 2, "question_types": {"a": [1, 2]}, "questions": rows}
    put(root / "benchmark/test_qa.json", json.dumps(test))
    put(root / "benchmark/ct/BDMAP_00000001/ct.nii.gz")
    put_csv(root / "train/train_qa.csv", [row(7, image_id="BDMAP_00000002"), row(8, image_id="BDMAP_00000009")])
    put(root / "train/ct/BDMAP_00000002/ct.nii.gz")
    return root


def read(name: str, root: Path, split: str = "") -> tuple[dict[str, Item], Report]:
    """(items by id, what was left out)."""
    report = Report()
    return {item.id: item for item in adapter(name).items(root, split, report)}, report


LAYOUTS = {
    "slake": slake,
    "vqa_rad": lambda root: hub(root, val=False),
    "path_vqa": lambda root: hub(root, val=True),
    "pmc_vqa": pmc_vqa_2,
    "omni_med_vqa": omni_med_vqa,
    "medxpertqa_mm": medxpertqa_mm,
    "m3d_vqa": m3d_vqa,
    "rad3d": rad3d,
    "radgenome_chestct": radgenome_chestct,
    "deep_tumor_vqa": deep_tumor_vqa,
}
"""Set -> what lays it out in an empty folder."""
