import pytest

from model.imaging.reading.files import bounded, kind_of
from model.interface.errors import BadInput


def test_the_name_is_believed_only_when_the_bytes_agree(tmp_path):
    path = tmp_path / "scan.PNG"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert kind_of(path) == ".png"
    path.write_bytes(b"\xff\xd8\xff" + bytes(20))
    with pytest.raises(BadInput) as caught:
        kind_of(path)
    assert "found JPEG, wanted PNG" in caught.value.where
    assert "rename to .jpg" in caught.value.next


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<!doctype html><title>404</title>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"GIF89a", "GIF"),
        (b"hello", "unknown bytes"),
    ],
)
def test_a_wrong_kind_is_named(tmp_path, content, told):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not what its name says") as caught:
        kind_of(path)
    assert told in caught.value.where


def test_only_the_files_own_name_is_told(tmp_path):
    with pytest.raises(BadInput) as caught:
        kind_of(tmp_path / "absent.png")
    assert str(tmp_path) not in caught.value.render()
    assert "absent.png" in caught.value.where


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    path = tmp_path / "scan.img"
    path.write_bytes(b"x")
    with pytest.raises(BadInput, match="not read") as caught:
        kind_of(path)
    assert ".nii.gz" in caught.value.where


def test_what_a_header_claims_is_bounded_before_it_is_read(tmp_path):
    assert bounded(tmp_path / "a.npy", (512, 512, 512), 4) == 512 << 20
    with pytest.raises(BadInput) as caught:
        bounded(tmp_path / "a.npy", (512, 512, 513), 4)
    assert "513.0 MiB" in caught.value.where
    assert "up to 512 MiB" in caught.value.where
