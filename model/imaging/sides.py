"""Which side of the body a box lies on: of the middle between the body's outermost points, left and right."""

from model.imaging.prepare import Prepared
from model.interface.boxes import Box

IN_THE_MIDDLE = 0.03
"""A centre this near the middle, as a share of the body's width, lies on neither side."""
ONE_SIDED = ("MG",)
"""Modalities that show one side of the body alone, so that its middle is nobody's midline."""


def side_of(box: Box, prepared: Prepared) -> str:
    """ "left" or "right" of the patient, "middle", or "" where that can't be known. box: model space.

    Of a scan that shows one limb the middle is the limb's: what is told there is the side within the limb.
    """
    volume = prepared.volume
    if not volume.frame_known or volume.modality in ONE_SIDED or prepared.frame.plane not in ("axial", "coronal"):
        return ""
    if prepared.across is None:
        return ""
    first, last = prepared.across
    off = (prepared.frame.to_source(box).centre[0] - (first + last) / 2) / (last - first)
    if abs(off) <= IN_THE_MIDDLE:
        return "middle"
    return "right" if off > 0 else "left"  # x ascends to the patient's right
