"""Questions about a known frame, and traces that answer them as told."""

from dataclasses import replace
from typing import Any

import numpy as np

from model.imaging.frame import Frame, frame_of
from model.imaging.volume import Volume
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.question import Question, Remark
from model.interface.trace import Step, Trace

CONTRACT = Contract(image_side=64, volume_side=64, slices=16)
SIZE = (32, 32, 16)


def frame(dimension: int = 3) -> Frame:
    """Source voxels of 2 x 2 x 3 mm; model space has two pixels a voxel across, one slice a slice."""
    shape = SIZE if dimension == 3 else (32, 32, 1)
    volume = Volume(np.zeros(shape, np.float32), np.diag([2.0, 2.0, 3.0, 1.0]), "MR", True, "axial")
    return frame_of(volume, CONTRACT)


def question(*boxes: Box, **changes: Any) -> Question:
    asked = Question(
        id="q",
        study="s",
        subject="p",
        split="test",
        dimension=3,
        family="structure localisation",
        text="Where?",
        options=("here", "there"),
        answer=1,
        contrast="T1",
        rationale=tuple(Remark("It is at", box, "it", "own") for box in boxes),
    )
    return replace(asked, **changes)


def trace(*boxes: Box, letter: str = "B", crops: int = 1, flat: bool = False) -> Trace:
    """An answer that points at these boxes of model space."""
    steps = tuple(Step(grammar.write_box(box, flat=flat), box, crops=crops) for box in boxes)
    text = "<think>" + "".join(step.text for step in steps) + f"</think>{letter}. there"
    return Trace("q", "digest", (64, 64, 1 if flat else 16), (*steps, Step("")), grammar.parse(text), sampled=9)
