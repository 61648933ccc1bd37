"""Which side of the body a box is on, and whether words agree."""

from dataclasses import replace

import numpy as np
import pytest

from model.imaging.prepare import blank, prepare
from model.imaging.sides import side_of
from model.imaging.volume import Volume
from model.interface.boxes import Box
from model.interface.laterality import side_said, speaks_of_sides
from tests.model.imaging.phantom import BLOB, CONTRACT, head, slice_of


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_the_block_lies_on_the_patients_right(plane):
    """Also where the field of view is not centred on the head."""
    contract = CONTRACT.model_copy(update={"plane": plane})
    for pad in ((0, 0), (30, 0), (0, 30)):
        voxels = np.pad(head().voxels, (pad, (0, 0), (0, 0)))
        prepared = prepare(replace(head(), voxels=voxels), contract)
        box = Box((BLOB.low[0] + pad[0], *BLOB.low[1:]), (BLOB.high[0] + pad[0], *BLOB.high[1:]))
        assert side_of(prepared.frame.to_model(box), prepared) == "right"
        mirrored = prepare(replace(head(), voxels=voxels[::-1]), contract)
        low, high = voxels.shape[0] - box.high[0], voxels.shape[0] - box.low[0]
        box = Box((low, *box.low[1:]), (high, *box.high[1:]))
        assert side_of(mirrored.frame.to_model(box), mirrored) == "left"


def test_a_box_across_the_midline_lies_in_the_middle():
    prepared = prepare(head(), CONTRACT)
    assert side_of(Box.of((20, 10, 5, 44, 50, 9)), prepared) == "middle"


def test_nobody_knows_in_a_sagittal_view_on_a_blank_picture_or_without_a_frame():
    box = Box.of((5, 5, 0, 15, 15, 1))
    sagittal = prepare(slice_of(head(), "sagittal", 9), CONTRACT)
    nothing = blank(prepare(slice_of(head(), "axial", 9), CONTRACT))
    unknown = prepare(replace(slice_of(head(), "axial", 9), frame_known=False, plane="image"), CONTRACT)
    breast = prepare(replace(slice_of(head(), "axial", 9), modality="MG"), CONTRACT)
    assert {side_of(box, prepared) for prepared in (sagittal, nothing, unknown, breast)} == {""}


def test_the_window_does_not_move_the_body():
    """Through a lung window air is bright, and the field of view is no body."""
    array = np.full((60, 20, 20), -1000, np.float32)
    array[30:56, 4:16, 4:16] = 40
    ct = Volume(array, np.eye(4), "CT", True, "axial")
    for windows in (("brain",), ("lung",)):
        prepared = prepare(ct, CONTRACT.model_copy(update={"ct_windows": windows}))
        assert side_of(prepared.frame.to_model(Box.of((34, 8, 8, 38, 12, 12))), prepared) == "left"
        assert side_of(prepared.frame.to_model(Box.of((50, 8, 8, 54, 12, 12))), prepared) == "right"


@pytest.mark.parametrize(
    ("words", "side"),
    [
        ("The left thalamus is at", "left"),
        ("A right-sided mass is at", "right"),
        ("It is on the right.", "right"),
        ("The lesion is left of the thalamus at", ""),
        ("To the right of it lies a mass", ""),
        ("on the left side of the image at", ""),
        ("Left and right are alike", ""),
        ("on the left side of the brain at", "left"),
        ("on the left side of the scan at", ""),
        ("left upper corner of the image", ""),
        ("the image's left side", ""),
        ("Is that right? It is at", ""),
        ("the nodule left after surgery at", ""),
        ("No lesion on the left", ""),
        ("the leftmost gyrus", "left"),
        ("The brainstem is at", ""),
    ],
)
def test_words_name_a_side_of_the_body_or_none(words, side):
    assert side_said(words) == side


def test_a_question_about_the_picture_needs_no_patient():
    for text in (
        "Is it on the left side of the image?",
        "left of the image",
        "Is that right?",
        "the left upper corner of the image",
    ):
        assert not speaks_of_sides(text)
    assert speaks_of_sides("Is it left of the lesion?")
