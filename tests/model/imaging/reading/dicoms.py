"""DICOM files made here: a series of a known volume, in any orientation, with anything changed.

Text fields hold CANARY, so that a test can see whether any of them gets out.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

from model.imaging.reading.planes import LPS_TO_RAS
from tests.model.imaging.phantom import AFFINE, voxels

CANARY = "CANARY"
HEAD = np.rint(voxels())
ORDER = np.random.default_rng(1).permutation(HEAD.shape[2])
"""Of the frames in a multi-frame file."""
SERIES, REFERENCE, STUDY = (generate_uid(entropy_srcs=[name]) for name in ("series", "reference", "study"))


def header(**changed: Any) -> Dataset:
    """A CT slice's header without geometry or pixels. changed: by keyword; None leaves an element out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = Dataset()
    out.file_meta = meta
    out.SOPClassUID, out.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    out.StudyInstanceUID, out.SeriesInstanceUID, out.FrameOfReferenceUID = STUDY, SERIES, REFERENCE
    out.PatientName = out.PatientID = out.AccessionNumber = out.StudyDescription = out.SeriesDescription = CANARY
    out.PatientBirthDate = out.StudyDate = "19700101"
    out.StudyTime, out.PatientSex, out.ReferringPhysicianName, out.StudyID = "", "", CANARY, "1"
    out.SeriesNumber, out.InstanceNumber, out.Manufacturer = 1, 1, CANARY
    out.Modality, out.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
    out.BitsAllocated, out.BitsStored, out.HighBit, out.PixelRepresentation = 16, 16, 15, 1
    out.RescaleSlope, out.RescaleIntercept, out.RescaleType = 1, 0, "HU"
    return with_(out, **changed)


def with_(dataset: Dataset, **changed: Any) -> Dataset:
    for keyword, value in changed.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def pixels(dataset: Dataset, picture: np.ndarray) -> Dataset:
    """picture: int16 (row, column)."""
    dataset.Rows, dataset.Columns = picture.shape[:2]
    dataset.PixelData = np.ascontiguousarray(picture).tobytes() + bytes(picture.nbytes % 2)
    return dataset


def slices_of(voxels: np.ndarray, affine: np.ndarray) -> list[Dataset]:
    """A slice for each of the third axis. voxels: (column, row, slice); affine: (4, 4) to mm, RAS+."""
    lps = LPS_TO_RAS @ affine
    pitch = np.linalg.norm(lps[:3, :3], axis=0)
    made = []
    for k in range(voxels.shape[2]):
        one = pixels(header(), np.rint(voxels[:, :, k]).T.astype(np.int16))
        one.ImageOrientationPatient = [float(n) for n in (lps[:3, :2] / pitch[:2]).T.ravel()]
        one.ImagePositionPatient = [float(n) for n in lps[:3, 3] + k * lps[:3, 2]]
        one.PixelSpacing = [float(pitch[1]), float(pitch[0])]
        one.SliceThickness, one.InstanceNumber = float(pitch[2]), k + 1
        made.append(one)
    return made


def save(folder: Path, datasets: Sequence[Dataset], name: Callable[[int], str] = "{:04d}.dcm".format) -> Path:
    folder.mkdir(exist_ok=True)
    for k, dataset in enumerate(datasets):
        dataset.save_as(folder / name(k), enforce_file_format=True)
    return folder


def raw(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are meant to be odd
        dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def multi_frame() -> Dataset:
    """The head as one multi-frame file, frames out of order, places and rescaling in functional groups."""
    made = slices_of(HEAD, AFFINE)
    whole = pixels(header(NumberOfFrames=len(made)), np.zeros(HEAD.shape[1::-1], np.int16))
    whole.PixelData = b"".join(made[k].PixelData for k in ORDER)
    shared, groups = Dataset(), []
    measures, orientation, transform = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = made[0].PixelSpacing, 2.0
    orientation.ImageOrientationPatient = made[0].ImageOrientationPatient
    transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = 2, -1000, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Items([measures]), Items([orientation])
    shared.PixelValueTransformationSequence = Items([transform])
    for k in ORDER:
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = made[k].ImagePositionPatient
        group.PlanePositionSequence = Items([position])
        groups.append(group)
    whole.SharedFunctionalGroupsSequence = Items([shared])
    whole.PerFrameFunctionalGroupsSequence = Items(groups)
    whole.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    return with_(whole, SOPClassUID=EnhancedCTImageStorage, RescaleSlope=None, RescaleIntercept=None, RescaleType=None)
