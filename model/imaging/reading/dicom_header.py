"""One DICOM file's header: an allow-list of tags, read without its pixels and without trust.

Only the tags of `TAGS` are ever read, so names, dates and free text can't get out. What a file claims is checked
against its size before anything is inflated or allocated.
"""

import re
import struct
import warnings
import zlib
from collections import abc
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
from pydicom.config import IGNORE
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from model.imaging.reading.files import refused
from model.imaging.reading.sources import DAMAGE, Source
from model.interface.errors import BadInput

TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "StudyInstanceUID", "Modality",
    "ImageType", "SpecificCharacterSet", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "PlanarConfiguration",
    "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio",
    "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient",
    "PatientOrientation", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence",
    "BurnedInAnnotation", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
"""All that is read of a header."""
PALETTES = [
    f"{part}{colour}PaletteColorLookupTable{what}"
    for colour in ("Red", "Green", "Blue", "Alpha")
    for part, what in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
]
WITH_PIXELS = [
    *TAGS, *PALETTES, "PaletteColorLookupTableUID", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
    "PixelData", "FloatPixelData", "DoubleFloatPixelData",
]  # fmt: skip
"""All that is read to decode pixels."""
WHOLE = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation",
         "PlanarConfiguration")  # fmt: skip
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
SEQUENCES = (*FUNCTIONAL_GROUPS, "ModalityLUTSequence")
VIDEO = ("MPEG", "HEVC", "H.264", "H.265", "SMPTE")
LONGEST_VALUE = 1 << 16
"""Bytes of a value of the file meta group, or of one that is read for its name only."""
PIXELS = (Tag("PixelData"), Tag("FloatPixelData"), Tag("DoubleFloatPixelData"))
MOST_ELEMENTS = 20_000
"""Of a data set, sequences counted once."""
DEFLATED_MIB = 128
"""Of a deflated data set, which pydicom inflates as a whole and twice over."""
DEEPEST = 32
"""Sequences in sequences."""


@dataclass(frozen=True, eq=False)
class Header:
    source: Source
    tags: Dataset
    syntax: UID
    pixels: int
    """Bytes of PixelData in the file; 0 when it has none."""
    executable: bool
    """The preamble is a program's."""

    def number(self, name: str) -> int:
        return int(self.tags.get(name) or 0)

    @property
    def frames(self) -> int:
        return max(1, self.number("NumberOfFrames"))

    def groups(self, frame: int) -> tuple[Dataset, Dataset]:
        """A frame's own functional groups, and those that all frames share; empty ones of a classic header."""
        own = self.tags.get("PerFrameFunctionalGroupsSequence") or []
        shared = self.tags.get("SharedFunctionalGroupsSequence") or [Dataset()]
        return own[frame] if frame < len(own) else Dataset(), shared[0]

    @property
    def series(self) -> str:
        return str(self.tags.get("SeriesInstanceUID") or "")


def header_of(path: Path, source: Source) -> Header | None:
    """What the allow-list keeps of a file; None of a file in a folder or zip that is no DICOM."""
    with source.open() as stream:
        start = stream.read(132)
        if start[128:] != b"DICM":
            if source.member or path.is_dir():
                return None
            found = "no DICM at byte 128"
            raise refused(path, "not a DICOM file", field="preamble", found=found, wanted="a DICOM file")
        syntax, begin = _syntax(path, stream)
        if syntax == DeflatedExplicitVRLittleEndian:
            _check_inflated(path, stream, begin)
        stream.seek(0)
        tags, pixels = _parsed(path, stream, syntax, source.size)
    return Header(source, tags, syntax, pixels, start[:2] == b"MZ")


def read_until(path: Path, stream: IO[bytes], *, behind_pixels: bool, tags: Iterable[str] = ()) -> FileDataset:
    """A data set up to its pixels, or with them; what follows is never looked at.

    tags: keywords of those whose values are read; without any, all but the large ones are.
    Raises BadInput where there is no end of elements, and whatever pydicom raises.
    """
    count, seen = 0, False

    def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal count, seen
        if seen or (tag in PIXELS and not behind_pixels):
            return True
        count, seen = count + 1, tag in PIXELS
        if count > MOST_ELEMENTS:
            wanted = f"up to {MOST_ELEMENTS} elements"
            raise refused(path, "no end of elements", field="header", found="more", wanted=wanted)
        return False

    wanted: list[BaseTag | int] = [Tag(name) for name in tags]
    return read_partial(cast(BinaryIO, stream), stop, None if wanted else LONGEST_VALUE, specific_tags=wanted or None)


def _syntax(path: Path, stream: IO[bytes]) -> tuple[UID, int]:
    """TransferSyntaxUID of the file meta group, read by hand: pydicom would inflate a deflated file first.

    And where the group ends, which its own length may not say.
    """
    found, end = "", stream.tell()
    while len(head := stream.read(8)) == 8:
        group, element, vr, length = struct.unpack("<HH2sH", head)
        if group != 2:
            break
        if vr.decode("latin-1") in EXPLICIT_VR_LENGTH_32:
            length = struct.unpack("<I", (stream.read(4) + bytes(4))[:4])[0]
        value = stream.read(min(length, LONGEST_VALUE))
        stream.seek(length - len(value), 1)
        end = stream.tell()
        if element == 0x10:
            found = value.decode("ascii", "replace").rstrip("\0 ")
    syntax = UID(found, validation_mode=IGNORE)
    if not syntax.is_transfer_syntax or syntax.is_private:
        known = "a transfer syntax of the standard"
        told = found if re.fullmatch(r"[0-9.]{1,64}", found) else "no UID"
        raise refused(path, "unknown transfer syntax", field="transfer syntax", found=told, wanted=known)
    if any(word in syntax.name for word in VIDEO):
        raise refused(path, "video is not read", field="transfer syntax", found=syntax.name, wanted="pictures")
    return syntax, end


def _check_inflated(path: Path, stream: IO[bytes], begin: int) -> None:
    """Inflate what follows the file meta group, keeping nothing, until the limit."""
    stream.seek(begin)
    machine, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while raw := machine.unconsumed_tail or stream.read(1 << 16):
            total += len(machine.decompress(raw, 1 << 20))
            if total > DEFLATED_MIB << 20:
                found, wanted = f"more than {DEFLATED_MIB} MiB once inflated", f"up to {DEFLATED_MIB} MiB"
                raise refused(path, "the file is too large", field="size", found=found, wanted=wanted)
    except zlib.error as error:
        raise refused(path, "the file does not inflate", field="data", found="damage", wanted="a whole file") from error
    if not machine.eof:
        raise refused(path, "the file does not inflate", field="data", found="no end of it", wanted="a whole file")


def _parsed(path: Path, stream: IO[bytes], syntax: UID, size: int) -> tuple[Dataset, int]:
    """The tags of the allow-list, each read once, and the bytes of PixelData."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tags = read_until(path, stream, behind_pixels=False, tags=TAGS)
            pixels = _pixel_bytes(path, stream, syntax, size, *map(bool, tags.original_encoding))
            depth = _depth(tags)
        except RecursionError as error:
            raise _nested(path, "hundreds of levels") from error
        except InvalidDicomError as error:
            raise refused(path, "not a DICOM file", field="header", found="damage", wanted="a DICOM file") from error
        except (BadInput, *DAMAGE):
            raise
        except Exception as error:  # pydicom raises a dozen types here
            raise _damaged(path, "header", type(error).__name__) from error
        for tag in list(tags.keys()):
            try:
                tags[tag]  # converts it
            except Exception as error:  # and here
                raw = bytes(getattr(tags.get_item(tag), "value", b"") or b"")[:16]
                name = keyword_for_tag(tag)
                raise _damaged(
                    path, name, f"{shown(raw.decode('ascii', 'replace'))!r}, truncated or no value"
                ) from error
    if depth > DEEPEST:
        raise _nested(path, f"{depth} levels")
    for name in WHOLE:
        if not isinstance(tags.get(name, 0) or 0, int):
            raise _damaged(path, name, "several values, or no whole number")
    for name in SEQUENCES:
        if not isinstance(tags.get(name, Sequence()), Sequence):
            raise _damaged(path, name, "no sequence")
    return tags, pixels


def _pixel_bytes(path: Path, stream: IO[bytes], syntax: UID, size: int, is_implicit: bool, is_little: bool) -> int:
    """Bytes of the PixelData element the stream stands at, 0 where there is none.

    size: of the file; is_implicit, is_little: as the data set was really written, whatever the transfer syntax says.
    """
    if syntax == DeflatedExplicitVRLittleEndian:  # in memory already, and bounded
        return -1
    there = size - stream.tell()
    end = "<" if is_little else ">"
    head = stream.read(12)
    if len(head) < 8 or (Tag(struct.unpack(f"{end}HH", head[:4])) not in PIXELS):
        return 0
    if is_implicit:
        begin, length = 8, struct.unpack(f"{end}I", head[4:8])[0]
    else:
        begin, length = 12, struct.unpack(f"{end}I", head[8:12].ljust(4, b"\0"))[0]
    if length == 0xFFFFFFFF:
        return there - begin
    if length > there - begin:
        found, wanted = f"{there - begin} bytes", f"{length} bytes"
        raise refused(path, "the pixels are truncated", field="(7FE0,0010) PixelData", found=found, wanted=wanted)
    return length


def _depth(tags: Dataset, level: int = 0) -> int:
    below = [
        _depth(item, level + 1)
        for tag in tags.keys()  # noqa: SIM118 - iterating a Dataset converts its elements
        if getattr(tags.get_item(tag), "VR", "") == "SQ" and level < DEEPEST + 1
        for item in tags[tag].value
    ]
    return max(below, default=level)


def _nested(path: Path, found: str) -> BadInput:
    wanted = f"up to {DEEPEST}"
    return refused(path, "sequences are nested too deep", field="header", found=f"nested {found}", wanted=wanted)


def _damaged(path: Path, field: str, found: str) -> BadInput:
    return refused(path, "the DICOM header is truncated or damaged", field=field, found=found, wanted="a whole file")


def shown(value: object) -> str:
    """A value that should be a number, for a message: of words no more than two letters, they may be a name."""
    text = str(value).strip("\0 ")
    return text[:16] if re.fullmatch(r"[-+.0-9eE\\]*|-?(?:nan|inf)", text) else text[:2] + "…" * (len(text) > 2)


def numbers(path: Path, name: str, value: Any, n: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in several(value))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != n or not np.isfinite(numbers).all():
        found = ", ".join(shown(part) for part in several(value)[:6]) or "nothing"
        raise refused(path, "damaged header", field=name, found=found, wanted=f"{n} finite numbers")
    return numbers


def found_in(groups: abc.Sequence[Dataset], sequence: str, name: str) -> Any:
    """A value of the first group that has it, inside the sequence or, in a classic header, beside it."""
    for group in groups:
        item = item_of(group, sequence)
        for place in (item, group):
            if place is not None and place.get(name) is not None:
                return place.get(name)
    return None


def item_of(tags: Dataset, sequence: str) -> Dataset | None:
    items = tags.get(sequence)
    return items[0] if items else None


def several(value: Any) -> list[Any]:
    """A value of multiplicity 1 or more, as a list."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | bytes | int | float) else list(value)
