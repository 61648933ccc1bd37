"""Whatever happens to a file's bytes, it is read or refused: no other error, no warning of a library, no name."""

import gzip
import io
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.imaging.reading.read import read_volume
from model.interface.errors import BadInput
from tests.bad_input.dicom import good
from tests.model.imaging.reading.dicoms import CANARY, raw
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


FILES = {
    "scan.dcm": raw(good()),
    "scan.zip": zipped(),
    "scan.nii": image(),
    "scan.nii.gz": gzip.compress(image(), mtime=0),
    "scan.png": picture("PNG"),
    "scan.jpg": picture("JPEG"),
    "scan.webp": picture("WebP"),
    "scan.tif": picture("TIFF"),
    "scan.npz": npz(),
}
AT = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(st.tuples(AT, st.integers(0, 255)), min_size=1, max_size=8)


@pytest.mark.parametrize("name", FILES)
@given(changes=CHANGES, early=st.booleans(), cut=st.one_of(st.none(), AT))
@settings(max_examples=60)
def test_damage_is_read_or_refused(tmp_path_factory, name, changes, early, cut):
    content = bytearray(FILES[name])
    for at, value in changes:
        content[int(at * min(len(content), 600 if early else len(content)))] = value
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
