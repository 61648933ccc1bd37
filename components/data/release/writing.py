"""Sealed shards as UniReason-Med-Data, so that others' tools can train on them: pictures as PNG, boxes in their pixels.

A study is shown under a contract whose sides are multiples of 28 (`SHOWN`, the paper's geometry): Qwen's processor then
leaves its pictures as they are, and a box means the same pixels to both. A picture is named by its SHA-256 and stored
once. A volume is text alone, as its authors released theirs, or its slices. What can be cropped is shown after its box.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from components.data.release.reading import FACTOR
from components.data.release.rows import AGENT, FACTS, IMAGES, PLACE, RL, SFT
from model.imaging import shards
from model.imaging.crop import crop
from model.imaging.prepare import Prepared, prepare
from model.interface import prompt
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.grammar import THINK_OPEN, write_answer, write_box
from model.interface.question import Question
from model.interface.writing import replacing

SHOWN = Contract(
    patch=14, image_side=252, volume_side=252, crop_side=112, slice_labels=False, channels="grey", crop_slices=4
)
"""The paper's geometry (arXiv 2606.11740): 252 px, 32 slices, tokens of 28 px."""
HELD = 32
"""Studies whose rows are in memory at a time."""
SOURCE = "unireason-med"


@dataclass(frozen=True, slots=True)
class Written:
    conversations: int = 0
    pictures: int = 0
    text_only: int = 0
    """Conversations about volumes whose pictures weren't written."""


def write(
    folder: Path, split: str, out: Path, contract: Contract = SHOWN, *, slices: bool = False, name: str = ""
) -> Written:
    """A split of sealed shards -> out/{sft,rl,images}/{name, or split}.parquet, whole or not at all.

    slices: write volumes' pictures too. Raises BadInput where tokens of the contract aren't 28 px.
    """
    if contract.factor != FACTOR:
        where = f"contract: found tokens of {contract.factor} px, wanted {FACTOR}"
        raise BadInput("boxes would mean other pixels to others' tools", where=where, next="take the default contract")
    asked: dict[str, list[Question]] = {}
    for question in shards.read_questions(folder, split):
        asked.setdefault(question.study, []).append(question)
    counts, held, seen = Written(), _Rows(), set[str]()
    with ExitStack() as stack:
        files = [_writer(stack, out / kind / f"{name or split}.parquet", kind) for kind in ("sft", "rl", "images")]
        for k, study in enumerate(study for study in shards.read_studies(folder, split) if study.id in asked):
            prepared = prepare(study.volume, contract)
            for question in asked[study.id]:
                shown = prepared.dimension == 2 or slices
                counts = _add(counts, held, seen, _told(question, prepared, contract, shown), question, shown)
            if k % HELD == HELD - 1:
                held.flush(files)
        held.flush(files)
    return counts


@dataclass(frozen=True, eq=False, slots=True)
class _Told:
    system: str
    user: str
    assistant: str
    truth: str
    """The letter, or the reply to an open question."""
    pictures: list[np.ndarray]
    """uint8, in the order of their places."""


class _Rows:
    """Rows that wait to be written together."""

    def __init__(self) -> None:
        self.sft: list[dict[str, Any]] = []
        self.rl: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []

    def flush(self, files: Sequence[pq.ParquetWriter]) -> None:
        for file, rows in zip(files, (self.sft, self.rl, self.images), strict=True):
            if rows:
                file.write_table(pa.Table.from_pylist(rows, file.schema))
                rows.clear()


def answer_text(question: Question, places: tuple[Box, ...]) -> str:
    """The right answer as it stands after the thought: the rule of `training.examples.answer_of`."""
    if question.letter is None or question.answer is None:
        return write_answer("", prompt.filled(question.reply, places, flat=question.dimension == 2))
    told = question.options[question.answer]
    is_text = prompt.filled_options(question, places)[question.answer] == told
    return write_answer(question.letter, told if is_text else "")


def _told(question: Question, prepared: Prepared, contract: Contract, shown: bool) -> _Told:
    flat = prepared.dimension == 2
    places = tuple(prepared.frame.to_model(region) for region in question.regions)
    pictures = list(prepared.slices) if shown else []
    user = PLACE * len(pictures) + prompt.question_text(question, places)
    said, opening = "", THINK_OPEN
    for remark in question.rationale:
        said += opening + remark.text
        opening = " "
        if remark.box:
            box = prepared.frame.to_model(remark.box)
            crops = crop(prepared, box, contract) if shown else []
            said += f" {write_box(box, flat=flat)}{PLACE * len(crops)}"
            pictures += crops
    said = (said or THINK_OPEN) + answer_text(question, places)
    truth = question.letter or prompt.filled(question.reply, places, flat=flat)
    return _Told(prompt.system(prepared.dimension), user, said, truth, pictures)


def _add(counts: Written, held: _Rows, seen: set[str], told: _Told, question: Question, shown: bool) -> Written:
    if (told.user + told.assistant).count(PLACE) != len(told.pictures):
        raise BadInput(
            f"the words of a question hold {PLACE}",
            where=f"question {question.id}: found it in its text, wanted none",
            next="write the question in other words",
        )
    ids = []
    for stored in map(_png, told.pictures):
        ids.append(hashlib.sha256(stored).hexdigest())
        if ids[-1] not in seen:
            seen.add(ids[-1])
            held.images.append({"image_id": ids[-1], "path": f"{ids[-1][:2]}/{ids[-1]}.png", "bytes": stored})
    prompt_ = [{"role": "system", "content": told.system}, {"role": "user", "content": told.user}]
    facts = {name: getattr(question, name) for name in FACTS}
    asked = told.user.count(PLACE)
    held.sft.append(
        {"messages": [*prompt_, {"role": "assistant", "content": told.assistant}], "image_ids": ids} | facts
    )
    held.rl.append(
        {
            "data_source": SOURCE,
            "agent_name": AGENT,
            "prompt": prompt_,
            "image_ids": ids[:asked],
            "ability": question.family,
            "reward_model": json.dumps({"style": "rule", "ground_truth": told.truth}),
            "extra_info": json.dumps(facts),
        }
    )
    return replace(
        counts, conversations=counts.conversations + 1, pictures=len(seen), text_only=counts.text_only + (not shown)
    )


def _png(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def _writer(stack: ExitStack, path: Path, kind: str) -> pq.ParquetWriter:
    schema = {"sft": SFT, "rl": RL, "images": IMAGES}[kind]
    part = stack.enter_context(replacing(path))
    return stack.enter_context(pq.ParquetWriter(part, schema, compression="zstd"))
