"""Evidence back to the archive it came from: DICOM SEG and SR beside the series that was asked about.

Both refer to the series' own files and carry its patient and study, as the standard demands, so they are as
confidential as the series is. Nothing of them is kept anywhere else.
"""

import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from components.serving.evidence import Evidence, evidence_of, kind_of
from model.imaging.prepare import Prepared
from model.imaging.reading.declared import Declared
from model.imaging.reading.dicom import Placed, placed_files
from model.interface.errors import BadInput
from model.interface.trace import Trace
from model.interface.writing import replacing

MAKER = "UniReason-Med"
REGION = Code("C85402", "NCIt", "Region of Interest")
SPATIAL = codes.SCT.SpatialAndRelationalConcept
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "StudyID", "ReferringPhysicianName",
)  # fmt: skip
ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What highdicom raises at headers it can't use."""
LABEL = 64
"""Characters of a label (VR LO)."""


def write_dicom(trace: Trace, prepared: Prepared, source: Path, declared: Declared, out: Path) -> Path:
    """Write a .seg.dcm or .sr.dcm for a DICOM file, folder or zip; raises BadInput."""
    placed = placed_files(source, declared)
    found = evidence_of(trace, prepared)
    if not found:
        raise _refused(out, "there is no box to write", "an answer without boxes", "one that points")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they would tell a name or a UID that is written oddly
        for dataset in placed.datasets:
            _complete(out, dataset, placed)
        try:
            if kind_of(out) == ".seg.dcm":
                _check_segmentable(out, placed)
                made = segmentation(found, prepared, placed)
            else:
                made = report(found, placed)
        except ODD as error:
            told = f"{type(error).__name__} from it"
            raise _refused(out, "highdicom can't write beside this series", told, "a series as PS3.3 has it") from error
        with replacing(out) as part:
            made.save_as(part)
    return out


def _refused(out: Path, what: str, found: str, wanted: str) -> BadInput:
    return BadInput(what, where=f"{out.name}: found {found}, wanted {wanted}", next="write .json or .nii.gz")


def _complete(out: Path, dataset: Dataset, placed: Placed) -> None:
    """What an anonymiser takes out may stand empty, but must stand (type 2); what names the object can't be missing."""
    for name in IDENTITY:
        if not dataset.get(name):
            raise _refused(out, "the series can't be referred to", f"no {name}", "each file's own identity")
    for name in MAY_BE_EMPTY:
        if name not in dataset:
            setattr(dataset, name, "")
    if "PixelSpacing" in dataset and not dataset.get("SliceThickness"):
        dataset.SliceThickness = placed.step


def _check_segmentable(out: Path, placed: Placed) -> None:
    first = placed.datasets[0]
    if not first.get("FrameOfReferenceUID"):
        raise _refused(out, "a segmentation needs a place in the patient", "no FrameOfReferenceUID", "one")
    if _is_multiframe(first) and not first.get("PerFrameFunctionalGroupsSequence"):
        raise _refused(out, "a segmentation needs a place in the patient", "frames without positions", "one of each")
    if len(placed.datasets) > 1 and any(map(_is_multiframe, placed.datasets)):
        raise _refused(out, "a segmentation refers to one multi-frame file", f"{len(placed.datasets)} of them", "one")


def segmentation(found: Sequence[Evidence], prepared: Prepared, placed: Placed) -> hd.seg.Segmentation:
    """A binary segment a box, on the series' own slices."""
    shape = prepared.volume.in_file.shape
    masks = np.zeros((len(placed.at), shape[1], shape[0], len(found)), np.uint8)
    for k, one in enumerate(found):
        columns, rows, slices = one.spans(shape)
        masks[placed.crossed(slices.start, slices.stop), rows, columns, k] = 1
    if _is_multiframe(placed.datasets[0]):
        sources, by_slice = placed.datasets, masks
        masks = np.zeros((int(sources[0].NumberOfFrames), *by_slice.shape[1:]), np.uint8)
        masks[placed.frame] = by_slice
    else:
        sources = [placed.datasets[file] for file in placed.file]
    algorithm = hd.AlgorithmIdentificationSequence(MAKER, codes.DCM.ArtificialIntelligence, _version())
    segments = [
        hd.seg.SegmentDescription(
            one.number, _label(one), SPATIAL, REGION, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, algorithm,
            tracking_uid=generate_uid(), tracking_id=f"box {one.number}",
        )
        for one in found
    ]  # fmt: skip
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=masks,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        omit_empty_frames=True,
        manufacturer_model_name=MAKER,
        software_versions=_version(),
        device_serial_number="0",
        **_instance(),
    )


def report(found: Sequence[Evidence], placed: Placed) -> sr.Comprehensive3DSR:
    """A measurement report (TID 1500): each box as rectangles on the slices it crosses, with what was said of it."""
    observer = sr.ObserverContext(
        codes.DCM.Device, sr.DeviceObserverIdentifyingAttributes(uid=generate_uid(), name=MAKER)
    )
    groups = []
    for one in found:
        crossed = placed.crossed(one.voxels.low[2], one.voxels.high[2])
        regions = [_rectangle(one, placed, k) for k in np.flatnonzero(crossed).tolist()]
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                sr.TrackingIdentifier(uid=generate_uid(), identifier=f"box {one.number}: {_label(one)}"),
                referenced_regions=regions,
                finding_type=REGION,
                algorithm_id=sr.AlgorithmIdentification(MAKER, _version()),
            )
        )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    return sr.Comprehensive3DSR(evidence=placed.datasets, content=content[0], **_instance())


def _rectangle(one: Evidence, placed: Placed, k: int) -> sr.ImageRegion:
    """The box on one slice, in the picture's own corners: (column, row), 0 at the outer edge of the first pixel."""
    (x1, y1, _), (x2, y2, _) = one.voxels.low, one.voxels.high
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)], float)
    dataset, frame = placed.datasets[placed.file[k]], placed.frame[k]
    image = sr.SourceImageForRegion(
        dataset.SOPClassUID, dataset.SOPInstanceUID, [frame + 1] if _is_multiframe(dataset) else None
    )
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, corners, image)


def _is_multiframe(dataset: Dataset) -> bool:
    return int(dataset.get("NumberOfFrames") or 1) > 1


def _instance() -> dict[str, Any]:
    return {
        "series_instance_uid": generate_uid(),
        "series_number": 900,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
    }


def _label(one: Evidence) -> str:
    return (one.words or f"box {one.number}")[-LABEL:]


def _version() -> str:
    return version("unireason-med")
