"""Malformed DICOM: the right verdict, told by tag, value and what was wanted; nobody's name in it."""

import io
import struct
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGExtended12Bit

from model.imaging.reading.read import read_volume
from model.interface.errors import BadInput
from tests.model.imaging.reading.dicoms import CANARY, SERIES, header, pixels, slices_of, with_

HEAD = np.random.default_rng(0).integers(0, 900, (16, 16, 1))


def good(**changed: object) -> Dataset:
    return with_(slices_of(HEAD, np.eye(4))[0], **changed)


def raw(dataset: Dataset | None = None) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are meant to be odd
        dcmwrite(out, dataset or good(), enforce_file_format=True)
    return out.getvalue()


def swapped(old: bytes, new: bytes) -> bytes:
    whole = raw()
    assert whole.count(old) == 1
    return whole.replace(old, new)


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


def compressed(syntax: UID, frame: bytes, **changed: object) -> bytes:
    dataset = good(PixelData=encapsulate([frame]), **changed)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset["PixelData"].is_undefined_length = True
    return raw(dataset)


def deflated(claimed_mib: int) -> bytes:
    """A data set that inflates to more than it should, hundreds of times its size."""
    whole = raw()
    meta = 144 + struct.unpack("<I", whole[140:144])[0]
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = machine.compress(whole[meta:]) + b"".join(machine.compress(bytes(1 << 20)) for _ in range(claimed_mib))
    head = whole[:meta].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99".ljust(22, b"\0"))
    grown = len(head) - meta
    head = head.replace(
        struct.pack("<H", 20) + b"1.2.840.10008.1.2.1.99", struct.pack("<H", 22) + b"1.2.840.10008.1.2.1.99"
    )
    return head[:140] + struct.pack("<I", meta - 144 + grown) + head[144:] + body + machine.flush()


J2K = b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">4I", 60000, 60000, 0, 0) + bytes(40)
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60000, 60000) + bytes(40)
JPEG_12 = b"\xff\xd8\xff\xc1\x00\x0b\x0c" + struct.pack(">HH", 16, 16) + b"\x01\x01\x11\x00" + b"\xff\xd9"

FAULTS = {
    "empty": (b"", "size", "0 bytes"),
    "no preamble": (raw()[132:], "preamble", "DICM"),
    "cut in a value": (raw()[: raw().index(b"(\0\x10\0US") + 9], "Rows", "truncated"),
    "cut in the pixels": (raw()[:-300], "PixelData", "found 212 bytes, wanted 512"),
    "pixels too few": (raw(good(PixelData=bytes(212))), "PixelData", "found 212 bytes, wanted 512"),
    "no pixels": (raw(good(PixelData=None)), "PixelData", "no pixel data"),
    "no Rows": (raw(good(Rows=None)), "Rows (0028,0010)", "found none"),
    "huge": (raw(good(Rows=65535, Columns=65535)), "shape", "65535, 65535"),
    "Rows 0": (raw(good(Rows=0)), "Rows", "found 0"),
    "frames": (raw(good(NumberOfFrames=2_000_000_000)), "NumberOfFrames", "up to 4096"),
    "bits": (raw(good(BitsAllocated=7)), "BitsAllocated", "found 7"),
    "samples": (raw(good(SamplesPerPixel=0)), "SamplesPerPixel", "found 0"),
    "syntax": (swapped(b"1.2.840.10008.1.2.1\0", b"1.2.840.99999.1.2.1\0"), "transfer syntax", "1.2.840.99999.1.2.1"),
    "garbage frame": (compressed(JPEG2000Lossless, bytes(90)), "JPEG 2000", "damaged"),
    "J2K bomb": (compressed(JPEG2000Lossless, J2K), "PixelData", "found 60000 x 60000, wanted 16 x 16"),
    "JPEG bomb": (compressed(JPEGBaseline8Bit, JPEG), "PixelData", "found 60000 x 60000, wanted 16 x 16"),
    "12-bit JPEG": (compressed(JPEGExtended12Bit, JPEG_12, BitsStored=12, HighBit=11), "JPEG Extended", "no decoder"),
    "nested": (nested(300), "header", "wanted up to 32"),
    "nested groups": (groups(40), "header", "wanted up to 32"),
    "claims 4 GiB": (
        raw(good(PixelData=None)) + element(0x7FE00010, b"OW", 0xFFFFFFF0, bytes(64)),
        "(7FE0,0010)",
        "found 64 bytes",
    ),
    "inflates": (deflated(520), "size", "more than 512 MiB once inflated"),
    "slope is text": (swapped(b"(\0S\x10DS\x04\x001.0 ", b"(\0S\x10DS\x04\0ab  "), "RescaleSlope", "found ab"),
    "slope is 0": (raw(good(RescaleSlope=0)), "RescaleSlope", "found 0"),
    "orientation": (raw(good(ImageOrientationPatient=[0] * 6)), "ImageOrientationPatient", "0, 0, 0, 0, 0, 0"),
    "position": (raw(good(ImagePositionPatient=[0, 0])), "ImagePositionPatient", "3 finite numbers"),
    "thickness of two numbers": (raw(good(SliceThickness=["3.1", "23.4"])), "SliceThickness", "1 finite"),
    "thickness beyond a body": (raw(good(SliceThickness="1e9")), "affine", "0.001 to 1000 mm"),
    "frames of two numbers": (raw(good(NumberOfFrames=["1", "2"])), "NumberOfFrames", "several values"),
    "a name for a syntax": (swapped(b"1.2.840.10008.1.2.1\0", b"CANARY^CANARY^CANARY"), "transfer syntax", "no UID"),
    "video": (compressed(UID("1.2.840.10008.1.2.4.102"), bytes(90)), "transfer syntax", "MPEG-4"),
    "report": (raw(good(Modality="SR", PixelData=None, Rows=None)), "Modality", "SR, a report"),
    "segmentation": (raw(good(Modality="SEG")), "Modality", "a segmentation"),
    "constant": (raw(pixels(good(), np.full((16, 16), 7, np.int16))), "voxels", "7 everywhere"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused_with_field_found_and_wanted(tmp_path, fault):
    content, field, told = FAULTS[fault]
    path = tmp_path / "scan.dcm"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(BadInput) as caught:
        read_volume(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    where = caught.value.where
    assert where.startswith("scan.dcm, ")
    assert field in where
    assert " found " in where
    assert ", wanted " in where
    assert told in caught.value.render()
    assert CANARY not in caught.value.render()
    assert str(tmp_path) not in caught.value.render()
    assert peak < 64 << 20


ODD = {
    "spacing 0": (raw(good(PixelSpacing=[0, 0])), "PixelSpacing"),
    "character set": (raw(good(SpecificCharacterSet="ISO_IR 999")), "character set"),
    "executable": (b"MZ" + raw()[2:], "executable"),
    "UID": (raw().replace(SERIES.encode(), b"../../x".ljust(len(SERIES), b"\0")), "UID"),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("oddity", ODD)
def test_an_odd_file_is_read_with_a_warning(tmp_path, oddity):
    content, told = ODD[oddity]
    (tmp_path / "scan").write_bytes(content)  # a DICOM file needs no suffix
    volume = read_volume(tmp_path / "scan")
    assert any(told in warning for warning in volume.warnings)
    assert np.array_equal(volume.voxels[::-1, ::-1], HEAD[::-1, ::-1])


def test_a_folder_without_dicom_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no DICOM"):
        read_volume(tmp_path)


def test_a_deflated_file_is_read(tmp_path):
    (tmp_path / "scan.dcm").write_bytes(deflated(0))
    assert np.array_equal(np.sort(read_volume(Path(tmp_path / "scan.dcm")).voxels.ravel()), np.sort(HEAD.ravel()))


def test_a_colour_slice_keeps_its_colours(tmp_path):
    rgb = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    made = header(Modality="US", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, **eight)
    (tmp_path / "scan.dcm").write_bytes(raw(pixels(made, rgb)))
    volume = read_volume(tmp_path / "scan.dcm")
    assert np.array_equal(volume.voxels[:, :, 0].transpose(1, 0, 2), rgb)
