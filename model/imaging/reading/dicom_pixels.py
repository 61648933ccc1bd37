"""DICOM's pixels as numbers: frames decoded, rescaled, their padding filled with what is to be black.

Rescaling comes first, then the inversion of MONOCHROME1 (PS3.3 C.7.6.3.1.2, PS3.4 N.2), for a whole series at once.
A compressed frame must be of the size the header says before a decoder sees it: decoders allocate what the codestream
claims.
"""

import logging
import struct
import warnings
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from model.imaging.reading.dicom_header import WITH_PIXELS, Header, found_in, numbers, read_until
from model.imaging.reading.files import refused, rescaled
from model.imaging.reading.quiet import quiet
from model.interface.errors import BadInput

LARGEST = 1e30
"""Of slopes and intercepts: float32 ends not much later."""

# What a decoder can't do is told by our own error: without a handler it would go to stderr as well.
logging.getLogger("pydicom").addHandler(logging.NullHandler())


def values_of(path: Path, header: Header) -> np.ndarray:
    """Frames of a file, rescaled, not inverted: int16 or float32 (frame, row, column), in colour uint8 (…, 3)."""
    with header.source.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = read_until(path, stream, behind_pixels=True, tags=WITH_PIXELS)
            if header.syntax.is_compressed and header.syntax != DeflatedExplicitVRLittleEndian:
                _check_codestreams(path, header, dataset)
            with quiet():
                stored = pixel_array(dataset)
            stored = stored.reshape(header.frames, header.number("Rows"), header.number("Columns"), -1)
            if dataset.PhotometricInterpretation == "PALETTE COLOR":
                stored = apply_color_lut(stored[..., 0], dataset)
            return _rescaled(path, header, dataset, stored)
        except BadInput:
            raise
        except Exception as error:  # decoders raise whatever they like
            no_decoder = "12-bit precision" in str(error) or "missing dependencies" in str(error)
            raise refused(
                path, "the picture can't be decoded", field=f"PixelData, {header.syntax.name}",
                found="12 bits, for which no decoder is installed" if no_decoder else "damaged or truncated data",
                wanted="a whole picture",
                next="pip install pylibjpeg-libjpeg (GPL), and repeat the command" if no_decoder else "",
            ) from error  # fmt: skip


def _rescaled(path: Path, header: Header, dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    if stored.shape[-1] == 3:
        deep = int(dataset.BitsStored)
        if dataset.PhotometricInterpretation == "PALETTE COLOR":
            deep = 8 if int(stored.max()) < 256 else 16  # tables of 16 bits often hold 8
        return (stored >> max(0, deep - 8)).astype(np.uint8)
    grey = stored[..., 0]
    padding = _padding(header, grey)
    if "ModalityLUTSequence" in dataset:
        values = np.asarray(apply_modality_lut(grey, dataset), np.float32)
    else:
        slopes = _slopes(path, header)
        values = np.stack([rescaled(frame, *how) for frame, how in zip(grey, slopes, strict=True)])
    if padding is not None and not padding.all():
        values[padding] = values[~padding].max() if is_inverted(header) else values[~padding].min()
    return values


def is_inverted(header: Header) -> bool:
    """The lowest value is meant to be white."""
    return header.tags.get("PhotometricInterpretation") == "MONOCHROME1"


def upright(values: np.ndarray) -> np.ndarray:
    """Inverted values turned: by one constant, so that slices of a series still compare."""
    return float(values.max()) + float(values.min()) - values.astype(np.float32)


def _padding(header: Header, stored: np.ndarray) -> np.ndarray | None:
    """Pixels that are none: PixelPaddingValue, up to PixelPaddingRangeLimit (PS3.3 C.7.5.1.1.2)."""
    if header.tags.get("PixelPaddingValue") is None:
        return None
    one = int(header.tags.PixelPaddingValue)
    limit = header.tags.get("PixelPaddingRangeLimit")
    low, high = sorted((one, one if limit is None else int(limit)))
    return (stored >= low) & (stored <= high)


def _slopes(path: Path, header: Header) -> list[tuple[float, float]]:
    """(slope, intercept) of each frame: functional groups first, where pydicom doesn't look (pydicom#2353)."""
    out = []
    for f in range(header.frames):
        group = (*header.groups(f), header.tags)
        slope, intercept = (
            found_in(group, "PixelValueTransformationSequence", f"Rescale{n}") for n in ("Slope", "Intercept")
        )
        [slope] = numbers(path, "RescaleSlope", 1 if slope is None else slope, 1)
        [intercept] = numbers(path, "RescaleIntercept", 0 if intercept is None else intercept, 1)
        if slope == 0 or max(abs(slope), abs(intercept)) > LARGEST:
            wanted = f"a slope other than 0, both up to {LARGEST:g}"
            raise refused(path, "damaged header", field="RescaleSlope", found=f"{slope:g}", wanted=wanted)
        out.append((slope, intercept))
    return out


def _check_codestreams(path: Path, header: Header, dataset: Dataset) -> None:
    """No frame may claim another size than the header: a decoder allocates what the codestream says."""
    for frame in generate_frames(dataset.PixelData, number_of_frames=header.frames):
        size = _codestream_size(frame)
        if size and size != (header.number("Rows"), header.number("Columns")):
            raise refused(
                path, "a compressed frame is not of the size the header says", field="PixelData",
                found=f"{size[1]} x {size[0]}", wanted=f"{header.number('Columns')} x {header.number('Rows')}",
            )  # fmt: skip


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 frame; None of what is neither."""
    at = frame.find(b"\xff\x4f\xff\x51")
    if 0 <= at < 200 and len(frame) >= at + 24:  # SOC, SIZ: Xsiz, Ysiz, XOsiz, YOsiz
        x, y, x0, y0 = struct.unpack(">4I", frame[at + 8 : at + 24])
        return y - y0, x - x0
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 < len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], struct.unpack(">H", frame[at + 2 : at + 4])[0]
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            rows, columns = struct.unpack(">HH", frame[at + 5 : at + 9])
            return rows, columns
        at += 2 + length
    return None
