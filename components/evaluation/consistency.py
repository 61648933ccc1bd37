"""Slice and volume: does a question point at the same place on the slice as in the volume it was cut from?

    python -m components.evaluation.consistency

Each question about a volume is asked; where its first box is a cuboid, the same question is asked about that cuboid's
middle slice as an image of its own, windowed by itself. The metric is the IoU, in the slice's plane and in source
voxels, of the box said on the slice with the cuboid's projection (arXiv 2606.11740, slice-wise boxes); a slice that is
answered without a box counts 0. Questions whose words hold boxes are left out: they mean another place on a slice.
"""

import json
import os
import sys
from dataclasses import replace
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from components.evaluation.intervals import resample
from components.evaluation.run import read_exam
from components.stage import command
from model.imaging import shards
from model.imaging.frame import SHOWN, Frame
from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box, iou
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm.engine import answer
from model.vlm.sampling import Sampling


class ConsistencyConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    checkpoint: Path = Path("checkpoints/rl")
    split: str = "test"
    questions: int | None = Field(default=None, ge=1)
    """The first so many; None for all."""
    draws: int = Field(default=2000, ge=100)
    """Bootstrap resamples, over heads."""
    seed: int = 0
    threads: int | None = None
    out: Path = Path("results/consistency")


def run(config: ConsistencyConfig) -> dict[str, Any]:
    """Ask twice, compare, write; what metrics.json holds."""
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    shards.verify(config.data)
    checkpoint = folders.load(config.checkpoint)
    exam = read_exam(config.data, config.split, checkpoint)
    rows = [
        (prepared, question, group)
        for prepared, question, group in zip(exam.prepared, exam.questions, exam.groups, strict=True)
        if prepared.dimension == 3 and not question.regions
    ][: config.questions]
    traces = answer(checkpoint, [(prepared, question) for prepared, question, _ in rows], Sampling())
    pairs = [
        (row, box, prepare(slice_of(row[0], box), checkpoint.contract))
        for row, trace in zip(rows, traces, strict=True)
        if (box := next((step.box for step in trace.steps if step.box), None))
    ]
    asked = [(cut, replace(question, dimension=2)) for (_, question, _), _, cut in pairs]
    overlaps, same = [], []
    again = answer(checkpoint, asked, Sampling())
    first = {question.id: trace.answer.choice for (_, question, _), trace in zip(rows, traces, strict=True)}
    for ((prepared, question, _), box, cut), trace in zip(pairs, again, strict=True):
        flat = next((step.box for step in trace.steps if step.box), None)
        overlaps.append(agreement(prepared.frame, box, cut.frame, flat) if flat else 0.0)
        same.append(trace.answer.choice is not None and trace.answer.choice == first[question.id])
    groups = [group for (_, _, group), _, _ in pairs]
    resamples = resample(groups, config.draws, config.seed) if groups else None
    ones = np.ones(len(pairs))
    tree = {
        "checkpoint": checkpoint.digest,
        "split": config.split,
        "volumes_asked": len(rows),
        "pointed": len(pairs),
        "slice_volume_iou": resamples.ratio(np.array(overlaps), ones).to_json() if resamples else None,
        "same_answer": resamples.ratio(np.array(same, float), ones).to_json() if resamples else None,
    }
    write_text(config.out / "metrics.json", json.dumps(tree, indent=1) + "\n")
    return tree


def slice_of(prepared: Prepared, box: Box) -> Volume:
    """The source slice in the middle of a box in model space, as an image that keeps its place in the body."""
    frame, volume = prepared.frame, prepared.volume
    axis = SHOWN[frame.plane][0][2]
    source = frame.to_source(box)
    k = min(max(floor(source.centre[axis]), 0), volume.shape[axis] - 1)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, axis] * k
    return replace(
        volume, voxels=np.take(volume.voxels, [k], axis), affine=affine, plane=frame.plane, file_grid=None, warnings=()
    )


def agreement(frame: Frame, cuboid: Box, flat_frame: Frame, flat: Box) -> float:
    """IoU of a cuboid's projection and a box on its slice, in the plane, source voxels. Boxes in their model spaces."""
    across, down, _ = SHOWN[frame.plane][0]

    def in_plane(box: Box) -> Box:
        return Box.of((box.low[across], box.low[down], box.high[across], box.high[down]))

    return iou(in_plane(frame.to_source(cuboid)), in_plane(flat_frame.to_source(flat)))


if __name__ == "__main__":
    sys.exit(command("consistency", ConsistencyConfig, run))
