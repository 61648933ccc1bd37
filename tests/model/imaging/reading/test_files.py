import pytest

from model.imaging.reading.files import bounded, kind_of
from model.interface.errors import BadInput


def test_the_name_is_believed_only_when_the_bytes_agree(tmp_path):
    path = tmp_path / "scan.PNG"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert kind_of(path) == ".png"
    path.write_bytes(bytes(128) + b"DICM")
    assert kind_of(path) == "DICOM", "whatever it is called"
    path.write_bytes(b"\xff\xd8\xff" + bytes(20))
    with pytest.raises(BadInput, match="not what its name says"):
        kind_of(path)


def test_what_a_header_claims_is_bounded_before_it_is_read(tmp_path):
    assert bounded(tmp_path / "a.npy", (512, 512, 512), 4) == 512 << 20
    with pytest.raises(BadInput) as caught:
        bounded(tmp_path / "a.npy", (512, 512, 513), 4)
    assert "513.0 MiB" in caught.value.where
    assert "up to 512 MiB" in caught.value.where
