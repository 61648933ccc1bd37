"""Stage `consistency`: does a question point at the same place on a slice as in the volume it was cut from?

    python -m components.evaluation.consistency

The evaluation's answers about volumes are read; where one points, the same question is asked about the middle slice of
its first cuboid, as an image of its own, windowed by itself. The metric is the IoU, in the slice's plane and in source
voxels, of the box said on the slice with the cuboid's projection (arXiv 2606.11740, slice-wise boxes); a slice that is
answered without a box counts 0. Questions whose words hold boxes are left out: they mean another place on a slice.
"""

import json
import os
import sys
from dataclasses import replace
from math import floor
from typing import Any

import numpy as np
import torch

from components.evaluation import traces
from components.evaluation.consistency_config import ConsistencyConfig
from components.evaluation.intervals import resample
from components.evaluation.run import read_exam
from components.stage import command
from model.imaging import shards
from model.imaging.frame import SHOWN, Frame
from model.imaging.prepare import Prepared, prepare
from model.imaging.volume import Volume
from model.interface.boxes import Box, iou
from model.interface.errors import Integrity
from model.interface.trace import Trace
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import answer
from model.vlm.sampling import ASKED


def run(config: ConsistencyConfig) -> dict[str, Any]:
    """Ask about slices, compare with what was said about volumes, write; what metrics.json holds."""
    torch.set_num_threads(config.threads or os.cpu_count() or 1)
    shards.verify(config.data)
    checkpoint = folders.load(config.checkpoint)
    exam = read_exam(config.data, config.split, checkpoint)
    said = answers_of(config, checkpoint)
    rows = [
        (prepared, question, group, said[question.id])
        for prepared, question, group in zip(exam.prepared, exam.questions, exam.groups, strict=True)
        if prepared.dimension == 3 and not question.regions and question.id in said
    ]
    pairs = [(row, box, prepare(slice_of(row[0], box), checkpoint.contract)) for row in rows if (box := _first(row[3]))]
    again = answer(checkpoint, [(cut, replace(row[1], dimension=2)) for row, _, cut in pairs], ASKED)
    overlaps, same = [], []
    for ((prepared, _, _, before), box, cut), trace in zip(pairs, again, strict=True):
        flat = _first(trace)
        overlaps.append(agreement(prepared.frame, box, cut.frame, flat) if flat else 0.0)
        same.append(trace.answer.choice is not None and trace.answer.choice == before.answer.choice)
    resamples = resample([group for (_, _, group, _), _, _ in pairs], config.draws, config.seed) if pairs else None
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


def answers_of(config: ConsistencyConfig, checkpoint: Checkpoint) -> dict[str, Trace]:
    """The checkpoint's answers in the evaluation, by question. Raises Integrity where another checkpoint gave them."""
    found = {
        one.trace.question_id: one.trace
        for one in traces.read(config.traces)
        if (one.checkpoint, one.split, one.blank) == (config.name, config.split, False)
    }
    if other := next((t for t in found.values() if t.versions.get("checkpoint") != checkpoint.digest), None):
        raise Integrity(
            "the evaluation's answers are another checkpoint's",
            where=f"{config.traces.name}, checkpoint {config.name}: found {other.versions.get('checkpoint', '')[:12]}, "
            f"wanted {checkpoint.digest[:12]}",
            next="dvc repro evaluate",
        )
    return found


def _first(trace: Trace) -> Box | None:
    return next((step.box for step in trace.steps if step.box), None)


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
