"""Evidence out: every box of an answer in its user's coordinates, and as files that a user's tools open.

.json       boxes in the file's own voxels, in model space and in mm
.nii.gz     a label map on the file's own grid: label k is the k-th box
.mrk.json   3D Slicer markups, an ROI a box
.seg.dcm    DICOM Segmentation, a segment a box           (of DICOM input, `dicom_out`)
.sr.dcm     DICOM measurement report, TID 1500            (of DICOM input, `dicom_out`)
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from components.serving.story import words_of
from model.imaging.prepare import Prepared
from model.imaging.reading.planes import LPS_TO_RAS
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.trace import Trace
from model.interface.writing import replacing, write_text

KINDS = (".json", ".nii.gz", ".mrk.json", ".seg.dcm", ".sr.dcm")
SQUARE = 1e-3
"""Axes whose cosine is under this stand at a right angle."""


@dataclass(frozen=True)
class Evidence:
    number: int
    """Counts from 1, in the order it was pointed at."""
    words: str
    """What was said before pointing."""
    model: Box
    """Model space."""
    voxels: Box
    """The file's own voxels, along its own axes, half open; voxel i covers [i, i + 1)."""
    mm: tuple[float, ...] | None
    """(x1, y1, z1, x2, y2, z2), RAS+; None where that isn't known."""

    def spans(self, shape: Sequence[int]) -> tuple[slice, slice, slice]:
        """The voxels whose middle lies inside, at least one along each axis."""
        out = []
        for low, high, n in zip(self.voxels.low, self.voxels.high, shape, strict=True):
            first = min(max(ceil(low - 0.5), 0), n - 1)
            out.append(slice(first, min(max(ceil(high - 0.5), first + 1), n)))
        return out[0], out[1], out[2]


def evidence_of(trace: Trace, prepared: Prepared) -> list[Evidence]:
    grid = prepared.volume.in_file
    steps = [step for step in trace.steps if step.box]
    return [
        Evidence(k, words_of(step.text), step.box, grid.box(prepared.frame.to_source(step.box)), step.box_mm)
        for k, step in enumerate(steps, 1)
        if step.box
    ]


def kind_of(path: Path) -> str:
    """The end of a name that says what is written; raises BadInput."""
    for kind in sorted(KINDS, key=len, reverse=True):
        if path.name.lower().endswith(kind):
            return kind
    raise BadInput(
        "evidence can't be written like this",
        where=f"{path.name}, name: found {path.suffix or 'no suffix'}, wanted one of {', '.join(KINDS)}",
        next="give the file one of these endings",
    )


def write_evidence(trace: Trace, prepared: Prepared, out: Path) -> Path:
    """Write one of the kinds that need no DICOM to copy from."""
    found, kind = evidence_of(trace, prepared), kind_of(out)
    if kind == ".nii.gz":
        with replacing(out) as part:
            part.write_bytes(label_map(found, prepared))
    else:
        row = markups(found, prepared, out.name) if kind == ".mrk.json" else plain(found, prepared, trace)
        write_text(out, json.dumps(row, indent=1, ensure_ascii=False) + "\n")
    return out


def plain(found: Sequence[Evidence], prepared: Prepared, trace: Trace) -> dict[str, Any]:
    volume = prepared.volume
    affine = volume.in_file.affine(volume.affine) if volume.frame_known and volume.spacing_known else None
    return {
        "study_sha256": trace.study_digest,
        "shape": volume.in_file.shape,
        "affine": None if affine is None else affine.tolist(),
        "space": "RAS+ mm; voxels along the file's own axes, half open",
        "boxes": [asdict(one) for one in found],
        "sides": [asdict(side) for side in trace.sides],
        "answer": trace.answer.text,
    }


def label_map(found: Sequence[Evidence], prepared: Prepared) -> bytes:
    """A gzipped NIfTI-1 of uint8 on the file's grid; where boxes overlap, the later one stands."""
    volume = prepared.volume
    labels = np.zeros(volume.in_file.shape, np.uint8)
    for one in found:
        labels[one.spans(labels.shape)] = one.number
    kind = nib.Nifti1Image if max(labels.shape) < 1 << 15 else nib.Nifti2Image
    image = kind(labels, volume.in_file.affine(volume.affine))
    known = int(volume.frame_known and volume.spacing_known)
    image.set_sform(image.affine, known)
    image.set_qform(None, 0)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def markups(found: Sequence[Evidence], prepared: Prepared, name: str) -> dict[str, Any]:
    """3D Slicer markups (markups-schema-v1.0.3), turned as the scan is, LPS; raises BadInput without a frame."""
    if prepared.frame.affine is None:
        raise BadInput(
            "places in mm are not known, so there is no ROI",
            where=f"{name}: found no orientation or no spacing in the image, wanted both",
            next="write .json or .nii.gz",
        )
    return {
        "@schema": "https://raw.githubusercontent.com/Slicer/Slicer/main/Modules/Loadable/Markups/Resources/Schema/"
        "markups-schema-v1.0.3.json#",
        "markups": [_roi(one, prepared) for one in found],
    }


def _roi(one: Evidence, prepared: Prepared) -> dict[str, Any]:
    volume = prepared.volume
    lps = LPS_TO_RAS @ volume.in_file.affine(volume.affine)
    axes = lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)
    corners = np.array(list(product(*zip(one.voxels.low, one.voxels.high, strict=True)))) - 0.5
    mm = corners @ lps[:3, :3].T + lps[:3, 3]
    if np.abs(axes.T @ axes - np.eye(3)).max() > SQUARE:  # a tilted gantry: no ROI is sheared
        axes = np.eye(3)
    if np.linalg.det(axes) < 0:  # a turn, not a mirror: the box is the same
        axes = axes * [1, 1, -1]
    along = mm @ axes
    low, high = along.min(0), along.max(0)
    return {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "roiType": "Box",
        "insideOut": False,
        "locked": True,
        "controlPoints": [
            {"id": "1", "label": f"box {one.number}", "position": (axes @ (low + high) / 2).tolist(),
             "positionStatus": "defined"},
        ],
        "center": (axes @ (low + high) / 2).tolist(),
        "orientation": axes.ravel().tolist(),
        "size": (high - low).tolist(),
    }  # fmt: skip
