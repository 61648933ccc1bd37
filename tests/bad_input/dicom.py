"""Malformed DICOM files, each a good CT slice with one thing wrong."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from model.imaging.reading.declared import Declared
from tests.bad_input.bombs import zeros
from tests.bad_input.case import READ, WARNED, Case, Content, cases_of
from tests.bad_input.openers import study
from tests.model.imaging.reading.dicoms import SERIES, header, pixels, raw, slices_of, with_

HEAD = np.random.default_rng(0).integers(0, 900, (16, 16, 1))
NAN = float("nan")


def good(**changed: object) -> Dataset:
    return with_(slices_of(HEAD, np.eye(4))[0], **changed)


def made(**changed: object) -> Callable[[], bytes]:
    return lambda: raw(good(**changed))


def swapped(old: bytes, new: bytes) -> Callable[[], bytes]:
    """Bytes replaced that pydicom would not write."""

    def build() -> bytes:
        whole = raw(good())
        assert (whole.count(old), len(new)) == (1, len(old))
        return whole.replace(old, new)

    return build


def element(tag: int, vr: bytes, length: int, value: bytes) -> bytes:
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length) + value


def nested(depth: int) -> bytes:
    """Sequences of undefined length in one another."""
    opening = element(0x00540016, b"SQ", 0xFFFFFFFF, struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF))
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return raw(good(PixelData=None)) + opening * depth + closing * depth


def groups(depth: int) -> bytes:
    """The same in a tag that is read."""
    inner = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.SharedFunctionalGroupsSequence = Sequence([inner])
        inner = outer
    return raw(good(SharedFunctionalGroupsSequence=inner.SharedFunctionalGroupsSequence))


def compressed(syntax: UID, frame: bytes, **changed: object) -> Callable[[], bytes]:
    def build() -> bytes:
        dataset = good(PixelData=encapsulate([frame]), **changed)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].is_undefined_length = True
        return raw(dataset)

    return build


def deflated(mib_behind: int) -> bytes:
    """A deflated data set, with so many MiB of zeros behind it that cost next to nothing."""
    dataset = good()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = raw(dataset)
    meta = 144 + struct.unpack("<I", whole[140:144])[0]
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = machine.compress(zlib.decompress(whole[meta:], -zlib.MAX_WBITS)) + machine.flush(zlib.Z_FULL_FLUSH)
    return whole[:meta] + body + zeros(mib_behind)


def heavy(tag: int, mib: int) -> Callable[[Path], Path]:
    """A file with so many MiB in one element, which are a hole on the disk."""

    def build(folder: Path) -> Path:
        path, whole = folder / "scan.dcm", raw(good())  # once: its UID is random, and so is the UID's length
        last = tag == 0x7FE00010
        at = whole.index(b"\xe0\x7f\x10\0OW" if last else b"\x10\0\x10\0PN")
        with path.open("wb") as file:
            file.write(whole[:at])
            file.write(element(tag, b"OW" if last else b"OB", mib << 20, b""))
            file.seek((mib << 20) - 1, 1)
            file.write(b"\0" + (b"" if last else whole[at:]))
        return path

    return build


def crowded(n: int) -> bytes:
    """So many empty private elements in one header."""
    whole = raw(good())
    at = whole.index(b"\x10\0\x10\0PN")
    return whole[:at] + b"".join(struct.pack("<HH2sH", 9, 0x1000 + k, b"LO", 0) for k in range(n)) + whole[at:]


def cut_in_rows() -> bytes:
    whole = raw(good())
    return whole[: whole.index(b"(\0\x10\0US") + 9]


def colour(**changed: object) -> Callable[[], bytes]:
    rgb = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "SamplesPerPixel": 3}
    told = {"Modality": "US", "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0} | eight | changed
    return lambda: raw(pixels(header(**told), rgb))


def palette(descriptor: list[int], table: bytes) -> Callable[[], bytes]:
    names = [f"{name}PaletteColorLookupTable" for name in ("Red", "Green", "Blue")]
    tables = {f"{name}Descriptor": descriptor for name in names} | {f"{name}Data": table for name in names}
    told = {"PhotometricInterpretation": "PALETTE COLOR", "PixelRepresentation": 0, "RescaleSlope": None}
    return made(**told, RescaleIntercept=None, RescaleType=None, **tables)


J2K = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">4I", 60000, 60000, 0, 0) + bytes(40)
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60000, 60000) + bytes(40)
JPEG_12 = b"\xff\xd8\xff\xc1\x00\x0b\x0c" + struct.pack(">HH", 16, 16) + b"\x01\x01\x11\x00" + b"\xff\xd9"
SYNTAX = b"1.2.840.10008.1.2.1\0"

FAULTS: tuple[tuple[str, str, Content, tuple[str, ...]], ...] = (
    ("empty", "an empty file", b"", ("empty", "0 bytes")),
    ("no preamble", "the data set starts at once", lambda: raw(good())[132:], ("preamble", "DICM")),
    ("not DICOM", "words, named .dcm", b"hello", ("preamble", "unknown bytes")),
    ("cut in a value", "the file ends inside Rows", cut_in_rows, ("Rows", "truncated")),
    ("cut in the pixels", "300 bytes missing", lambda: raw(good())[:-300], ("PixelData", "found 212 bytes", "512")),
    ("pixels too few", "PixelData of 212 bytes", made(PixelData=bytes(212)), ("found 212 bytes", "wanted 512")),
    ("no pixels", "no PixelData", made(PixelData=None), ("PixelData", "no pixel data")),
    ("no Rows", "no Rows", made(Rows=None), ("Rows (0028,0010)", "found none")),
    ("huge", "65535 x 65535 claimed", made(Rows=65535, Columns=65535), ("65535, 65535", "limit", "512 MiB")),
    ("Rows 0", "no row", made(Rows=0), ("Rows", "found 0")),
    ("frames", "2,000,000,000 frames claimed", made(NumberOfFrames=2_000_000_000), ("NumberOfFrames", "4096")),
    ("frames of two numbers", "NumberOfFrames 1\\2", made(NumberOfFrames=["1", "2"]), ("NumberOfFrames", "several")),
    ("bits", "BitsAllocated 7", made(BitsAllocated=7), ("BitsAllocated", "found 7")),
    ("bits stored", "BitsStored 20 of 16", made(BitsStored=20), ("BitsStored", "found 20")),
    ("samples", "SamplesPerPixel 0", made(SamplesPerPixel=0), ("SamplesPerPixel", "found 0")),
    ("syntax", "a transfer syntax nobody knows", swapped(SYNTAX, b"1.2.840.99999.1.2.1\0"),
     ("transfer syntax", "1.2.840.99999.1.2.1")),
    ("a name for a syntax", "a patient's name where the transfer syntax stands",
     swapped(SYNTAX, b"CANARY^CANARY^CANARY"), ("transfer syntax", "no UID")),
    ("video", "an MPEG-4", compressed(UID("1.2.840.10008.1.2.4.102"), bytes(90)), ("transfer syntax", "MPEG-4")),
    ("J2K garbage", "a JPEG 2000 frame that is garbage", compressed(JPEG2000Lossless, bytes(90)),
     ("JPEG 2000", "damaged")),
    ("JPEG-LS garbage", "a JPEG-LS frame that is garbage", compressed(JPEGLSLossless, bytes(90)),
     ("JPEG-LS", "damaged")),
    ("JPEG garbage", "a JPEG frame that is garbage", compressed(JPEGBaseline8Bit, bytes(90)),
     ("JPEG Baseline", "damaged")),
    ("RLE garbage", "an RLE frame that is garbage", compressed(RLELossless, bytes(range(90))), ("RLE", "damaged")),
    ("J2K bomb", "a JPEG 2000 frame that claims 60000 x 60000", compressed(JPEG2000Lossless, J2K),
     ("PixelData", "found 60000 x 60000, wanted 16 x 16")),
    ("JPEG bomb", "a JPEG frame that claims 60000 x 60000", compressed(JPEGBaseline8Bit, JPEG),
     ("PixelData", "found 60000 x 60000, wanted 16 x 16")),
    ("12-bit JPEG", "a JPEG of 12 bits, for which there is no decoder but under the GPL",
     compressed(JPEGExtended12Bit, JPEG_12, BitsStored=12, HighBit=11), ("JPEG Extended", "no decoder")),
    ("frames missing", "two compressed frames claimed, one there",
     compressed(RLELossless, bytes(90), NumberOfFrames=2, ImageOrientationPatient=None), ("NumberOfFrames",)),
    ("nested", "sequences nested 300 deep", lambda: nested(300), ("nested", "32")),
    ("nested groups", "functional groups nested 40 deep", lambda: groups(40), ("nested", "32")),
    ("crowded", "30,000 private elements", lambda: crowded(30_000), ("no end of elements", "20000")),
    ("claims 4 GiB", "PixelData claims 4 GiB, 64 bytes are there",
     lambda: raw(good(PixelData=None)) + element(0x7FE00010, b"OW", 0xFFFFFFF0, bytes(64)),
     ("(7FE0,0010)", "found 64 bytes")),
    ("inflates", "half a MiB that inflates to 520", lambda: deflated(520), ("more than 128 MiB once inflated",)),
    ("inflates to waste", "400 MiB behind pixels of 512 bytes", lambda: deflated(400), ("128 MiB",)),
    ("deflated, cut", "a deflated file without its end", lambda: deflated(0)[:-300], ("whole file",)),
    ("slope is text", "RescaleSlope ab", swapped(b"(\0S\x10DS\x04\x001.0 ", b"(\0S\x10DS\x04\0ab  "),
     ("RescaleSlope", "found ab")),
    ("slope is a name", "RescaleSlope CANARY", swapped(b"(\0S\x10DS\x04\x001.0 ", b"(\0S\x10DS\x04\0CANA"),
     ("RescaleSlope", "found CA…")),
    ("slope is 0", "RescaleSlope 0", made(RescaleSlope=0), ("RescaleSlope", "found 0")),
    ("slope is infinite", "RescaleSlope 1e300", made(RescaleSlope="1e300"), ("RescaleSlope",)),
    ("orientation", "ImageOrientationPatient of zeros", made(ImageOrientationPatient=[0] * 6),
     ("ImageOrientationPatient", "0, 0, 0, 0, 0, 0")),
    ("orientation askew", "rows and columns 60 degrees apart",
     made(ImageOrientationPatient=["1", "0", "0", "0.5", "0.866", "0"]), ("ImageOrientationPatient", "right angle")),
    ("position", "ImagePositionPatient of two numbers", made(ImagePositionPatient=[0, 0]),
     ("ImagePositionPatient", "3 finite numbers")),
    ("position is no number", "ImagePositionPatient NaN", made(ImagePositionPatient=["nan", "0", "0"]),
     ("ImagePositionPatient", "nan")),
    ("spacing is a name", "PixelSpacing CANARY\\CANARY", swapped(b"DS\x08\x001.0\\1.0 ", b"DS\x08\0CANARY\\1"),
     ("PixelSpacing", "found CA…")),
    ("spacing of three numbers", "PixelSpacing 1\\1\\1", made(PixelSpacing=[1, 1, 1]), ("PixelSpacing", "2 finite")),
    ("thickness of two numbers", "SliceThickness 3.1\\23.4", made(SliceThickness=["3.1", "23.4"]),
     ("SliceThickness", "1 finite")),
    ("thickness beyond a body", "SliceThickness 1e9", made(SliceThickness="1e9"), ("affine", "0.001 to 1000 mm")),
    ("report", "a report without a picture", made(Modality="SR", PixelData=None, Rows=None),
     ("Modality", "SR, a report", "no image")),
    ("segmentation", "a segmentation", made(Modality="SEG"), ("Modality", "a segmentation")),
    ("burnt in", "BurnedInAnnotation YES", made(BurnedInAnnotation="YES"),
     ("BurnedInAnnotation", "--allow-burned-in")),
    ("constant", "7 everywhere", lambda: raw(pixels(good(), np.full((16, 16), 7, np.int16))), ("7 everywhere",)),
    ("photometric", "a photometric interpretation nobody knows", made(PhotometricInterpretation="HOLOGRAM"),
     ("PhotometricInterpretation",)),
    ("no photometric", "no PhotometricInterpretation", made(PhotometricInterpretation=None),
     ("PhotometricInterpretation",)),
    ("colour of one sample", "RGB in one sample a pixel", made(PhotometricInterpretation="RGB"),
     ("PhotometricInterpretation",)),
    ("planar", "PlanarConfiguration 7", colour(PlanarConfiguration=7), ("PlanarConfiguration",)),
    ("no palette", "palette colours without a palette", made(PhotometricInterpretation="PALETTE COLOR"),
     ("PixelData", "damaged")),
    ("palette cut", "a palette of 256 entries with 9 bytes", palette([256, 0, 8], bytes(9)), ("PixelData", "damaged")),
    ("groups missing", "functional groups for one of two frames",
     lambda: raw(good(NumberOfFrames=2, PixelData=bytes(1024), PerFrameFunctionalGroupsSequence=Sequence([Dataset()]))),
     ("NumberOfFrames",)),
    ("groups are text", "functional groups that are no sequence",
     lambda: raw(good(PixelData=None)) + element(0x52009230, b"UT", 4, b"text"), ("no sequence",)),
)  # fmt: skip
ODD: tuple[tuple[str, str, Content, tuple[str, ...]], ...] = (
    ("spacing 0", "PixelSpacing 0: no size in mm is told", made(PixelSpacing=[0, 0]), ("PixelSpacing", "mm")),
    ("character set", "a character set nobody knows: text isn't read anyway",
     made(SpecificCharacterSet="ISO_IR 999"), ("character set",)),
    ("executable", "the preamble is a program's", lambda: b"MZ" + raw(good())[2:], ("executable",)),
    ("UID", "../../x for a SeriesInstanceUID: only hashes are kept",
     swapped(SERIES.encode(), b"../../x".ljust(len(SERIES), b"\0")), ("UID",)),
    ("RGB", "nothing, but that the default model sees no colours", colour(BurnedInAnnotation="NO"), ("grey levels",)),
    ("ultrasound", "nobody says whether text is burnt in", colour(), ("BurnedInAnnotation",)),
)  # fmt: skip
FINE: tuple[tuple[str, str, Content, tuple[str, ...]], ...] = (
    ("MONOCHROME1", "nothing: the lowest value is white", made(PhotometricInterpretation="MONOCHROME1"), ()),
    ("deflated", "nothing: deflated", lambda: deflated(0), ()),
    (
        "orientation untold",
        "nothing: PatientOrientation ?\\?, of a slice that has a position",
        made(PatientOrientation=["?", "?"]),
        (),
    ),
)


def _named(rows: tuple[tuple[str, str, Content, tuple[str, ...]], ...]) -> list:
    return [(name, wrong, "scan.dcm", content, words) for name, wrong, content, words in rows]


CASES: list[Case] = [
    *cases_of("dicom", _named(FAULTS)),
    *cases_of("dicom", _named(ODD), WARNED),
    *cases_of("dicom", _named(FINE), READ),
    *cases_of(
        "dicom",
        [("burnt in, allowed", "BurnedInAnnotation YES, and --allow-burned-in", "scan.dcm",
          made(BurnedInAnnotation="YES"), ("BurnedInAnnotation YES",))],
        WARNED, study(Declared(allow_burned_in=True)),
    ),
    Case("dicom: pixels too many", "400 MiB of pixels, of which 512 bytes are claimed", heavy(0x7FE00010, 400),
         ("PixelData", "found 400 MiB", "512 bytes")),
    Case("dicom: private weight", "400 MiB of a private element, which are skipped", heavy(0x00091010, 400),
         (), READ),
    *cases_of(
        "dicom", [("no such frame", "--index 3 of one frame", "scan.dcm", made(), ("--index", "found 3"))],
        opener=study(Declared(index=3)),
    ),
]  # fmt: skip
