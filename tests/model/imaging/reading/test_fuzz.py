"""Whatever happens to a file's bytes, it is read or refused: no other error, no warning of a library, no name."""

import gzip
import io
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from model.imaging.reading.read import read_volume
from model.interface.errors import BadInput
from tests.bad_input.arrays import npy
from tests.bad_input.dicom import deflated, good
from tests.bad_input.itk import mha, nrrd
from tests.model.imaging.reading.dicoms import CANARY, multi_frame, raw, slices_of
from tests.model.imaging.reading.niftis import image


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(out, kind)
    return out.getvalue()


def npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, voxels=np.random.default_rng(0).random((5, 6, 7)), affine=np.eye(4))
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", raw(good()))
    return out.getvalue()


def packed(syntax: UID) -> bytes:
    """A compressed slice."""
    [dataset] = slices_of(np.random.default_rng(0).integers(0, 900, (64, 48, 1)), np.eye(4))
    dataset.compress(syntax)
    return raw(dataset)


FILES = {
    "scan.dcm": raw(good()),
    "rle.dcm": packed(RLELossless),
    "jls.dcm": packed(JPEGLSLossless),
    "j2k.dcm": packed(JPEG2000Lossless),
    "deflated.dcm": deflated(0),
    "frames.dcm": raw(multi_frame()),
    "scan.zip": zipped(),
    "scan.nrrd": nrrd("space: left-posterior-superior", "space directions: (1,0,0) (0,1,0) (0,0,2)"),
    "scan.mha": mha("TransformMatrix = 1 0 0 0 1 0 0 0 1"),
    "scan.npy": npy(np.random.default_rng(0).random((5, 6, 7))),
    "scan.nii": image(),
    "scan.nii.gz": gzip.compress(image(), mtime=0),
    "scan.png": picture("PNG"),
    "scan.jpg": picture("JPEG"),
    "scan.webp": picture("WebP"),
    "scan.tif": picture("TIFF"),
    "scan.npz": npz(),
}
AT = st.floats(0, 1, exclude_max=True)
ENDS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0"]
"""Numbers that sizes and offsets break at."""
BYTES = st.one_of(st.integers(0, 255).map(lambda n: bytes([n])), st.sampled_from(ENDS), st.binary(max_size=6))
CHANGES = st.lists(st.tuples(AT, BYTES, st.booleans()), min_size=1, max_size=8)
"""(where, what, whether it is put in between rather than over what was there)."""


@pytest.mark.parametrize("name", FILES)
@given(changes=CHANGES, early=st.booleans(), cut=st.one_of(st.none(), AT))
def test_damage_is_read_or_refused(tmp_path_factory, name, changes, early, cut):
    content = bytearray(FILES[name])
    for at, value, between in changes:
        place = int(at * min(len(content), 600 if early else len(content)))
        content[place : place if between else place + len(value)] = value
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(bytes(content[: int(cut * len(content))] if cut is not None else content))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            volume = read_volume(path)
        except BadInput as refusal:
            assert CANARY not in refusal.render()
            assert len(refusal.render().splitlines()) == 4
        else:
            assert np.isfinite(volume.voxels).all()
            assert np.isfinite(volume.affine).all()
