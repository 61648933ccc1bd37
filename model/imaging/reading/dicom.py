"""DICOM to one picture or one volume: a file, a folder, a zip, classic or multi-frame.

sources -> headers (an allow-list of tags, no pixels) -> one series -> planes in order -> voxels, RAS+
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.charset import python_encoding
from pydicom.config import IGNORE
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from model.imaging.reading.declared import Declared
from model.imaging.reading.dicom_header import FUNCTIONAL_GROUPS, Header, found_in, header_of, numbers, several
from model.imaging.reading.dicom_pixels import is_inverted, upright, values_of
from model.imaging.reading.files import Stored, bounded, check_affine, check_index, kind_of, oriented, refused
from model.imaging.reading.planes import LPS_TO_RAS, Plane, affine_of, evened, stacked
from model.imaging.reading.sources import sources_of
from model.imaging.volume import MODALITIES

NO_IMAGE = {
    "SR": "a report", "PR": "a presentation state", "KO": "a list of objects", "SEG": "a segmentation",
    "RTDOSE": "a dose grid", "RTSTRUCT": "contours", "RTPLAN": "a treatment plan", "REG": "a registration",
    "ECG": "a waveform", "DOC": "a document",
}  # fmt: skip
"""Modalities whose files hold no picture to ask about."""
PHOTOMETRIC = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1} | dict.fromkeys(
    ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"), 3
)
"""What pixels mean -> samples of each (PS3.3 C.7.6.3.1.2)."""
MOST_FRAMES = 4096
SLACK = 1 << 20
"""Bytes that pixels may have too many."""
SIDES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
"""PatientOrientation (0020,0020): the direction a letter means, LPS+."""
MAY_BE_WRITTEN_ON = ("US", "OT", "SC", "XC", "ES", "")
"""Modalities whose pictures often carry a patient's name in their pixels."""


@dataclass(frozen=True, eq=False)
class Placed:
    """The files of a series, for whoever writes about them."""

    datasets: list[Dataset]
    """Whole headers, with the patient's data, without pixels."""
    file: list[int]
    """By slice, which of them holds it."""
    frame: list[int]
    """By slice, which frame of that file."""
    at: np.ndarray
    """float64[slices]: its place on the volume's slice axis, whole numbers where nothing was resampled."""
    step: float = 1.0
    """Between slices, mm."""

    def crossed(self, low: float, high: float) -> np.ndarray:
        """bool[slices]: those whose middle lies in [low, high) of the file's slice axis, or the nearest one."""
        inside = (self.at + 0.5 >= low) & (self.at + 0.5 < high)
        if not inside.any():
            inside[np.abs(self.at + 0.5 - (low + high) / 2).argmin()] = True
        return inside


def read_dicom(path: Path, declared: Declared) -> Stored:
    """Read a DICOM file, folder or zip; raises BadInput naming the tag."""
    headers, planes, notes = _opened(path, declared)
    if planes:
        return _volume(path, headers, planes, notes)
    return _picture(path, headers, declared, notes)


def placed_files(path: Path, declared: Declared) -> Placed:
    """Where `read_dicom`'s slices came from."""
    if kind_of(path) != "DICOM":
        found = path.suffix or "no suffix"
        raise refused(
            path, "this is written beside DICOM only", field="name", found=found, wanted="a DICOM file",
            next="write .json, .nii.gz or .mrk.json",
        )  # fmt: skip
    headers, planes, _ = _opened(path, declared)
    datasets = []
    for header in headers:
        with header.source.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            datasets.append(pydicom.dcmread(stream, stop_before_pixels=True))
    if not planes:
        return Placed(datasets, [0], [declared.index or 0], np.zeros(1))
    stack = stacked(path, planes)
    chosen = stack.planes
    at = (stack.at - stack.at[0]) / stack.step
    return Placed(datasets, [p.file for p in chosen], [p.frame for p in chosen], at, stack.step)


def _opened(path: Path, declared: Declared) -> tuple[list[Header], list[Plane], list[str]]:
    """The headers of one series, checked, and where their frames lie."""
    found = [header_of(path, source) for source in sources_of(path)]
    headers, notes = _images(path, [header for header in found if header])
    if foreign := found.count(None):
        notes.append(f"{foreign} file(s) that are no DICOM, or lack its preamble, were left out")
    headers, more = _one_series(path, headers, declared)
    notes += more
    for header in headers:
        _check(path, header, declared)
    notes += _noted(headers, declared)
    values = sum(prod(_shape(header)) for header in headers)
    bounded(path, (values,), max(header.number("BitsAllocated") // 8 or 1 for header in headers))
    placed = [_planes(path, header, k) for k, header in enumerate(headers)]
    if any(placed) and not all(placed):
        raise refused(
            path, "the slices don't make one volume", field="ImagePositionPatient",
            found=f"{placed.count([])} picture(s) without a position", wanted="a position in each",
            next="give one series alone",
        )  # fmt: skip
    return headers, _chosen(path, headers, [plane for some in placed for plane in some], declared), notes


def _chosen(path: Path, headers: list[Header], planes: list[Plane], declared: Declared) -> list[Plane]:
    """All planes, or the one of the frame that was asked for."""
    if declared.index is None or not planes:
        return planes
    if len(headers) > 1:
        raise refused(
            path, "a frame is chosen of one file", field="--index", found=f"{len(headers)} files", wanted="one file"
        )
    check_index(path, "frame", declared.index, len(planes))
    return [planes[declared.index]]


def _images(path: Path, headers: Sequence[Header]) -> tuple[list[Header], list[str]]:
    """The headers of pictures; raises BadInput where there are none, telling what was there instead."""
    if not headers:
        found = "no DICOM file"
        raise refused(path, "no DICOM in the folder", field="files", found=found, wanted="a DICOM series")
    other = [header for header in headers if str(header.tags.get("Modality")) in NO_IMAGE or not header.pixels]
    images = [header for header in headers if header not in other]
    if not images:
        kind = str(other[0].tags.get("Modality") or "")
        if kind in NO_IMAGE:
            found = f"{kind}, {NO_IMAGE[kind]}"
            raise refused(path, "no image in the file", field="Modality", found=found, wanted="a picture")
        if "Rows" in other[0].tags or kind:
            raise refused(path, "no pixel data in the file", field="PixelData", found="none", wanted="a picture")
        raise refused(path, "no image in the file", field="Rows", found="no Rows", wanted="a picture")
    skipped = len(headers) - len(images)
    return images, [f"{skipped} file(s) without a picture were left out"] if skipped else []


def _one_series(path: Path, headers: list[Header], declared: Declared) -> tuple[list[Header], list[str]]:
    """The series to read: scouts left out where there is more, the only one, or the one declared."""
    series: dict[str, list[Header]] = {}
    for header in headers:
        series.setdefault(header.series, []).append(header)
    scouts = [key for key, some in series.items() if all(_is_scout(header) for header in some)]
    notes = []
    if len(series) > len(scouts) > 0:
        lost = sum(len(series.pop(key)) for key in scouts)
        notes.append(f"{lost} localizer picture(s) were left out")
    listed = sorted(series.items(), key=lambda item: (-len(item[1]), item[0]))
    if len(listed) == 1 and declared.series in (None, 1):
        chosen = listed[0][1]
    elif declared.series is not None and 1 <= declared.series <= len(listed):
        chosen = listed[declared.series - 1][1]
    else:
        told = "; ".join(f"{k}: {_told(some)}" for k, (_, some) in enumerate(listed, 1))
        raise refused(
            path,
            f"{len(listed)} series found",
            field="SeriesInstanceUID",
            found=told,
            wanted="one" if declared.series is None else f"a number up to {len(listed)}",
            next="choose one with --series NUMBER",
        )
    scout = [header for header in chosen if _is_scout(header)]
    if 0 < len(scout) < len(chosen):
        notes.append(f"{len(scout)} localizer picture(s) were left out")
        chosen = [header for header in chosen if header not in scout]
    return chosen, notes


def _is_scout(header: Header) -> bool:
    return "LOCALIZER" in [str(part).upper() for part in several(header.tags.get("ImageType"))]


def _told(headers: Sequence[Header]) -> str:
    first = headers[0]
    size = f"{first.number('Columns')} x {first.number('Rows')}"
    return f"{_modality(first) or 'other'}, {len(headers)} file(s) of {size}"


def _modality(header: Header) -> str:
    """Only what is known: the tag may hold anything."""
    told = str(header.tags.get("Modality") or "")
    return told if told in MODALITIES or told in NO_IMAGE else ""


def _check(path: Path, header: Header, declared: Declared) -> None:
    """Everything of the header that decides how pixels are read."""
    tags = header.tags
    for name in ("Rows", "Columns", "BitsAllocated"):
        if name not in tags:
            raise refused(
                path, "the header is incomplete", field=f"{name} {_tag(name)}", found="none", wanted="a number"
            )
    for name in ("Rows", "Columns"):
        if header.number(name) < 1:
            raise refused(path, "an axis has no length", field=name, found=header.number(name), wanted="at least 1")
    if header.number("BitsAllocated") not in (1, 8, 16, 32, 64):
        found = header.number("BitsAllocated")
        raise refused(path, "damaged header", field="BitsAllocated", found=found, wanted="8, 16 or 32")
    if "BitsStored" in tags and not 1 <= header.number("BitsStored") <= header.number("BitsAllocated"):
        found, wanted = header.number("BitsStored"), f"1 to {header.number('BitsAllocated')}"
        raise refused(path, "damaged header", field="BitsStored", found=found, wanted=wanted)
    if "SamplesPerPixel" in tags and header.number("SamplesPerPixel") not in (1, 3):
        found = header.number("SamplesPerPixel")
        raise refused(path, "damaged header", field="SamplesPerPixel", found=found, wanted="1 or 3")
    _check_colours(path, header)
    if header.frames > MOST_FRAMES:
        raise refused(
            path, "too many frames", field="NumberOfFrames", found=header.frames, wanted=f"up to {MOST_FRAMES}"
        )
    if str(tags.get("BurnedInAnnotation")).upper() == "YES" and not declared.allow_burned_in:
        raise refused(
            path,
            "a patient's data may be written into the picture",
            field="BurnedInAnnotation",
            found="YES",
            wanted="NO",
            next="blacken it first, or read it all the same with --allow-burned-in",
        )
    size = bounded(path, _shape(header), max(1, header.number("BitsAllocated") // 8))
    if not header.syntax.is_compressed and 0 <= header.pixels < size * _packing(header):
        found, wanted = f"{header.pixels} bytes", f"{int(size * _packing(header))} bytes"
        raise refused(path, "the pixels are truncated", field="PixelData", found=found, wanted=wanted)
    if header.pixels > 2 * size + SLACK:  # compression may fail, but not like this
        found = f"{header.pixels >> 20} MiB of {_shape(header)}"
        raise refused(path, "more bytes than pixels", field="PixelData", found=found, wanted=f"{size} bytes")


def _check_colours(path: Path, header: Header) -> None:
    """What the samples of a pixel mean."""
    name, samples = str(header.tags.get("PhotometricInterpretation") or "none"), header.number("SamplesPerPixel") or 1
    if samples != PHOTOMETRIC.get(name):
        found = f"{name if name in PHOTOMETRIC else 'another one'} of {samples} sample(s)"
        wanted = f"one of {', '.join(PHOTOMETRIC)}, of as many samples as it has"
        raise refused(
            path, "nobody knows what a pixel means", field="PhotometricInterpretation", found=found, wanted=wanted
        )
    if samples == 3 and header.number("PlanarConfiguration") not in (0, 1):
        found = header.number("PlanarConfiguration")
        raise refused(path, "damaged header", field="PlanarConfiguration", found=found, wanted="0 or 1")


def _shape(header: Header) -> tuple[int, int, int, int]:
    samples = header.number("SamplesPerPixel") or 1
    return header.frames, header.number("Rows"), header.number("Columns"), samples


def _packing(header: Header) -> float:
    """Bytes there must be, as a share of one whole value a sample."""
    if header.number("BitsAllocated") == 1:
        return 1 / 8
    return 2 / 3 if header.tags.get("PhotometricInterpretation") == "YBR_FULL_422" else 1


def _noted(headers: Sequence[Header], declared: Declared) -> list[str]:
    """What the reader has to know of a header that is read all the same."""
    notes, first = [], headers[0]
    modality = _modality(first)
    if any(header.executable for header in headers):
        notes.append("the preamble is an executable program's: it was ignored")
    if any(set(several(h.tags.get("SpecificCharacterSet"))) - set(python_encoding) for h in headers):
        notes.append("unknown character set: text fields are not read anyway")
    if not all(UID(header.series, validation_mode=IGNORE).is_valid for header in headers):
        notes.append("a UID is not valid: only its hash is ever kept")
    if str(first.tags.get("BurnedInAnnotation")).upper() == "YES":
        notes.append("a patient's data may be written into the picture (BurnedInAnnotation YES)")
    elif modality in MAY_BE_WRITTEN_ON and "BurnedInAnnotation" not in first.tags:
        notes.append("nobody said whether text is written into the picture (no BurnedInAnnotation)")
    if declared.modality and declared.modality != modality:
        notes.append(f"the file says {modality or 'no'} modality: the declared one was not used")
    return notes


def _planes(path: Path, header: Header, k: int) -> list[Plane]:
    """Where each frame lies, [] of a file without positions."""
    if any(header.tags.get(name) for name in FUNCTIONAL_GROUPS):
        groups = [header.groups(f) for f in range(header.frames)]
    else:
        groups = [(header.tags,)] if header.frames == 1 else []
    planes = []
    for f, group in enumerate(groups):
        position = found_in(group, "PlanePositionSequence", "ImagePositionPatient")
        orientation = found_in(group, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = found_in(group, "PixelMeasuresSequence", "PixelSpacing")
        if position is None or orientation is None:
            return []
        across, down = _directions(path, orientation)
        thick = found_in(group, "PixelMeasuresSequence", "SpacingBetweenSlices") or found_in(
            group, "PixelMeasuresSequence", "SliceThickness"
        )
        [thickness] = numbers(path, "SliceThickness", 0 if thick is None else thick, 1)
        rows_mm, columns_mm = numbers(path, "PixelSpacing", spacing, 2) if spacing is not None else (0.0, 0.0)
        where = np.array(numbers(path, "ImagePositionPatient", position, 3))
        planes.append(Plane(k, f, where, across, down, (columns_mm, rows_mm), abs(thickness)))
    return planes


def _volume(path: Path, headers: Sequence[Header], planes: Sequence[Plane], notes: list[str]) -> Stored:
    _check_alike(path, headers)
    known = min(min(plane.pitch) for plane in planes) > 0
    if not known:
        notes = [*notes, "PixelSpacing is 0 or missing: 1 mm is assumed, and nothing is reported in mm"]
        planes = [replace(plane, pitch=(1.0, 1.0)) for plane in planes]
    stack = stacked(path, planes)
    decoded: dict[int, np.ndarray] = {}
    slices = []
    for plane in stack.planes:
        if plane.file not in decoded:
            decoded = {plane.file: values_of(path, headers[plane.file])}
        slices.append(decoded[plane.file][plane.frame])
    voxels = evened(np.stack(slices, axis=2).swapaxes(0, 1), stack)
    first = headers[0]
    hounsfield, note = _is_hounsfield(first)
    voxels = upright(voxels) if is_inverted(first) and not hounsfield else voxels
    affine = affine_of(stack)
    check_affine(path, affine)
    voxels, affine, index = oriented(voxels, affine)
    warnings_ = (*notes, *stack.warnings, *note)
    modality = _modality(first)
    return Stored(voxels, affine, True, known, hounsfield, warnings_, modality, index)


def _picture(path: Path, headers: Sequence[Header], declared: Declared, notes: list[str]) -> Stored:
    """One frame that lies nowhere: its sides may still be told, by PatientOrientation."""
    if len(headers) > 1:
        raise refused(
            path, "the files don't make one volume", field="ImagePositionPatient", found=f"{len(headers)} pictures, "
            "no positions", wanted="one picture, or a series with positions", next="give one of its files",
        )  # fmt: skip
    [header] = headers
    if header.frames > 1 and declared.index is None:
        raise refused(
            path,
            "frames over time don't make a volume",
            field="NumberOfFrames",
            found=f"{header.frames} frames without positions",
            wanted="one picture",
            next=f"choose one with --index 0 to {header.frames - 1}",
        )
    chosen = declared.index or 0
    check_index(path, "frame", chosen, header.frames)
    picture = values_of(path, header)[chosen]
    voxels = (upright(picture) if is_inverted(header) else picture).swapaxes(0, 1)[:, :, None]
    spacing, known, told = _flat_spacing(path, header)
    modality = _modality(header)
    hounsfield, note = _is_hounsfield(header)
    notes = [*notes, *told, *note]
    sides = _sides(header)
    if sides is None:
        return Stored(voxels, np.diag([*spacing, 1.0, 1.0]), False, known, hounsfield, tuple(notes), modality)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = sides[0] * spacing[0], sides[1] * spacing[1]
    lps[:3, 2] = np.cross(*sides)
    voxels, affine, index = oriented(voxels, LPS_TO_RAS @ lps)
    notes.append("no position in the patient: left and right are known, places in mm are not")
    return Stored(voxels, affine, True, False, hounsfield, tuple(notes), modality, index)


def _check_alike(path: Path, headers: Sequence[Header]) -> None:
    same = {
        "Rows": "one size",
        "Columns": "one size",
        "FrameOfReferenceUID": "one frame of reference",
        "SamplesPerPixel": "one kind of pixel",
        "PhotometricInterpretation": "one kind of pixel",
        "Modality": "one modality",
        "RescaleType": "one unit",
    }
    for name, wanted in same.items():
        found = {_unit(header) if name == "RescaleType" else str(header.tags.get(name)) for header in headers}
        if len(found) > 1:
            told = f"{len(found)} different ones"
            raise refused(
                path, "the slices don't make one volume", field=name, found=told, wanted=wanted,
                next="give one series alone",
            )  # fmt: skip


def _unit(header: Header) -> str:
    """What a classic header's numbers are in."""
    if header.tags.get("RescaleSlope") is None:
        return "not rescaled"
    return str(header.tags.get("RescaleType") or "HU")


def _is_hounsfield(header: Header) -> tuple[bool, tuple[str, ...]]:
    if header.tags.get("Modality") != "CT" or header.number("SamplesPerPixel") == 3:
        return False, ()
    group = (*header.groups(0), header.tags)
    unit = found_in(group, "PixelValueTransformationSequence", "RescaleType")
    rescaled = found_in(group, "PixelValueTransformationSequence", "RescaleIntercept") is not None
    if rescaled and str(unit or "HU").upper() in ("HU", "US"):
        return True, ()
    return False, ("a CT whose numbers are not said to be Hounsfield units: its window is taken from the picture",)


def _flat_spacing(path: Path, header: Header) -> tuple[tuple[float, float], bool, tuple[str, ...]]:
    """((between columns, between rows), known, notes) of a picture without a position."""
    for name, known in (("PixelSpacing", True), ("ImagerPixelSpacing", False)):
        if header.tags.get(name) is not None:
            rows_mm, columns_mm = numbers(path, name, header.tags.get(name), 2)
            if min(rows_mm, columns_mm) > 0:
                note = () if known else ("pixels are measured at the detector: nothing is reported in mm",)
                return (columns_mm, rows_mm), known, note
            return (1.0, 1.0), False, (f"{name} is 0: nothing is reported in mm",)
    if header.tags.get("PixelAspectRatio") is not None:
        rows, columns = numbers(path, "PixelAspectRatio", header.tags.PixelAspectRatio, 2)
        if min(rows, columns) > 0:
            return (columns / rows, 1.0), False, ()
    return (1.0, 1.0), False, ()


def _sides(header: Header) -> tuple[np.ndarray, np.ndarray] | None:
    """Directions in which columns and rows ascend, LPS+, by the first letter of PatientOrientation; None untold."""
    told = [str(part).upper()[:1] for part in several(header.tags.get("PatientOrientation"))]
    if len(told) != 2 or not all(letter in SIDES for letter in told):
        return None
    across, down = (np.array(SIDES[letter], float) for letter in told)
    return None if across @ down else (across, down)


def _directions(path: Path, orientation: Any) -> tuple[np.ndarray, np.ndarray]:
    six = np.array(numbers(path, "ImageOrientationPatient", orientation, 6))
    across, down = six[:3], six[3:]
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(across @ down) > 0.05:
        found = ", ".join(f"{n:g}" for n in six)
        wanted = "two unit vectors at a right angle"
        raise refused(path, "damaged header", field="ImageOrientationPatient", found=found, wanted=wanted)
    across = across / lengths[0]
    down = down - (down @ across) * across
    return across, down / np.linalg.norm(down)


def _tag(name: str) -> str:
    number = tag_for_keyword(name) or 0
    return f"({number >> 16:04X},{number & 0xFFFF:04X})"
