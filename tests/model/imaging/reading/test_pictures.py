"""Pictures keep their depth and colours, upright as their headers say."""

import numpy as np
import pytest
from PIL import Image

from model.imaging.reading.declared import Declared
from model.imaging.reading.pictures import read_picture
from model.imaging.reading.read import read_volume
from model.interface.errors import BadInput
from tests.model.imaging.reading.png import GREY, png


def test_columns_become_x_and_rows_y(tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(png())
    stored = read_picture(path, ".png")
    assert np.array_equal(stored.voxels, GREY.T[:, :, None])
    assert not (stored.frame_known or stored.spacing_known)


def test_a_16_bit_png_keeps_its_depth(tmp_path):
    deep = GREY.astype(np.uint16) * 200
    (tmp_path / "scan.png").write_bytes(png(deep))
    assert np.array_equal(read_picture(tmp_path / "scan.png", ".png").voxels[:, :, 0].T, deep)


def test_grey_stored_as_rgb_is_grey(tmp_path):
    (tmp_path / "scan.png").write_bytes(png(np.stack([GREY] * 3, axis=2)))
    assert np.array_equal(read_volume(tmp_path / "scan.png").voxels[:, :, 0].T, GREY)
    Image.fromarray(np.stack([GREY] * 3, axis=2)).save(tmp_path / "scan.jpg", quality=95)
    assert np.abs(read_volume(tmp_path / "scan.jpg").voxels[:, :, 0].T - GREY).mean() < 10


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_colours_stay_colours(tmp_path, kind):
    rgb = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / f"scan.{kind}", lossless=True)
    volume = read_volume(tmp_path / f"scan.{kind}")
    assert volume.is_colour
    assert np.array_equal(volume.voxels[:, :, 0].transpose(1, 0, 2), rgb)


def test_one_page_of_several_is_chosen(tmp_path):
    pages = [Image.fromarray(GREY // n) for n in (1, 2, 4)]
    pages[0].save(tmp_path / "scan.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(BadInput, match="several pictures") as caught:
        read_volume(tmp_path / "scan.tiff")
    assert "--index 0 to 2" in caught.value.next
    assert np.array_equal(read_volume(tmp_path / "scan.tiff", Declared(index=2)).voxels[:, :, 0].T, GREY // 4)
    with pytest.raises(BadInput, match="no such picture"):
        read_volume(tmp_path / "scan.tiff", Declared(index=3))


def test_transparency_becomes_black(tmp_path):
    opacity = np.zeros_like(GREY)
    (tmp_path / "scan.png").write_bytes(png(np.stack([GREY] * 3 + [opacity], axis=2)))
    assert read_picture(tmp_path / "scan.png", ".png").voxels.max() == 0


def test_a_jpeg_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    Image.fromarray(GREY).save(tmp_path / "scan.jpg", exif=exif)
    assert read_picture(tmp_path / "scan.jpg", ".jpg").voxels.shape == (30, 20, 1)


def test_a_deep_tiff_whose_lowest_value_is_white_is_turned(tmp_path):
    ramp = (np.arange(600).reshape(30, 20) * 100).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "scan.tif", tiffinfo={262: 0})
    seen = read_volume(tmp_path / "scan.tif").voxels[:, :, 0].T
    assert np.array_equal(seen, ramp.max() - ramp.astype(float))
