import numpy as np
import pytest
from PIL import Image

from components.data.sources.pairs import with_label_map, with_masks
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AFFINE, AS_STORED, ORIENTATIONS, SHAPE, blob, scan, write

NAMES = {1: "liver", 1000: "spleen", 40000: "pancreas"}
RANDOM = np.random.default_rng(4)


def pair(folder, labels, orientation=AS_STORED, affine=AFFINE):
    image = write(folder / "image.nii.gz", scan(RANDOM), ORIENTATIONS[17])
    return image, write(folder / "labels.nii.gz", labels, orientation, affine)


def test_large_labels_survive_in_any_type(tmp_path):
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:5, 3:9, 4:6], labels[8:9, 1:2, 1:3], labels[15:, 9:, 8:] = 1, 1000, 40000
    for kind in (np.uint16, np.int32, np.float32, np.float64):
        found = with_label_map(*pair(tmp_path, labels.astype(kind), ORIENTATIONS[33]), NAMES)
        assert {o.name: int(o.inside.sum()) for o in found.outlines} == {
            name: int((labels == value).sum()) for value, name in NAMES.items()
        }
        for outline in found.outlines:
            value = next(value for value, name in NAMES.items() if name == outline.name)
            assert (outline.mask(SHAPE) == (labels == value)).all()


def test_an_empty_label_map_says_that_all_it_names_is_absent(tmp_path):
    found = with_label_map(*pair(tmp_path, np.zeros(SHAPE, np.uint8)), NAMES)
    assert found.outlines == ()
    assert found.sought == {"liver", "spleen", "pancreas"}


@pytest.mark.parametrize(
    ("affine", "told"),
    [
        (AFFINE + np.array([[0, 0, 0, 3.0], [0] * 4, [0] * 4, [0] * 4]), "corners 2 voxels off"),
        (AFFINE @ np.diag([1, 1, 1.3, 1]), "voxels off"),
        (np.diag([1, -1.0, 1, 1]) @ AFFINE, "voxels off"),
    ],
)
def test_labels_at_another_place_are_refused(tmp_path, affine, told):
    with pytest.raises(BadInput) as caught:
        with_label_map(*pair(tmp_path, np.ones(SHAPE, np.uint8), affine=affine), NAMES)
    assert caught.value.where.startswith(f"{tmp_path.name}/labels.nii.gz, affine: ")
    assert told in caught.value.where


def test_a_rounded_header_is_the_same_place(tmp_path):
    rounded = AFFINE + 1e-3
    rounded[3] = 0, 0, 0, 1
    assert with_label_map(*pair(tmp_path, np.ones(SHAPE, np.uint8), affine=rounded), NAMES).outlines


def test_labels_of_another_shape_are_refused(tmp_path):
    with pytest.raises(BadInput) as caught:
        with_label_map(*pair(tmp_path, np.ones((20, 16, 13), np.uint8)), NAMES)
    assert caught.value.where.endswith("/labels.nii.gz, shape: found 20 x 16 x 13, wanted 20 x 16 x 12, the image's")


def test_values_without_a_name_are_told(tmp_path):
    labels = np.ones(SHAPE, np.uint8)
    labels[0, 0, 0], labels[1, 0, 0] = 9, 7
    with pytest.raises(BadInput, match="without a name") as caught:
        with_label_map(*pair(tmp_path, labels), NAMES)
    assert "found 7, 9, wanted 0 or one of 1, 1000, 40000" in caught.value.where


@pytest.mark.parametrize(("value", "told"), [(0.5, "with fractions"), (-1, "-1 to 1"), (70000, "1 to 70000")])
def test_what_is_no_label_map_is_refused(tmp_path, value, told):
    labels = np.ones(SHAPE, np.float32)
    labels[3, 3, 3] = value
    with pytest.raises(BadInput, match="not a label map") as caught:
        with_label_map(*pair(tmp_path, labels), NAMES)
    assert told in caught.value.where


def test_masks_of_one_meaning_are_one_outline_and_others_may_overlap(tmp_path):
    image = write(tmp_path / "ct.nii.gz", scan(RANDOM), AS_STORED)
    masks = {name: blob(RANDOM) for name in ("liver tumor", "hepatic tumour", "liver")}
    masks["liver"] |= masks["liver tumor"]
    files = {
        name: [write(tmp_path / f"{name}.nii.gz", mask.astype(np.uint8) * 255, ORIENTATIONS[9])]
        for name, mask in masks.items()
    }
    found = {outline.name: outline.mask(SHAPE) for outline in with_masks(image, files).outlines}
    assert (found["liver tumour"] == masks["liver tumor"] | masks["hepatic tumour"]).all()
    assert (found["liver"] == masks["liver"]).all()


def test_an_unknown_name_is_used_and_told(tmp_path):
    found = with_label_map(*pair(tmp_path, np.ones(SHAPE, np.uint8)), {1: "cochlea_left"})
    assert [outline.name for outline in found.outlines] == ["left cochlea"]
    assert "'cochlea_left' is not in the ontology" in found.warnings[0]


def test_labels_in_colours_are_refused(tmp_path):
    for name in ("image", "labels"):
        Image.fromarray(RANDOM.integers(0, 255, (30, 20, 3)).astype(np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(BadInput, match="colours"):
        with_label_map(tmp_path / "image.png", tmp_path / "labels.png", NAMES)
