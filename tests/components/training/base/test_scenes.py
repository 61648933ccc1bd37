from dataclasses import replace

import numpy as np

from components.training.base.scenes import box_of
from components.training.base.tower import cuboids_of, moved, patch_counts, pool_of, slice_boxes, swapped
from tests.components.training.base.small import CONTRACT, FIRST_LESION, NAMES, corpus


def test_a_structure_keeps_its_whole_box_under_a_lesion(tmp_path):
    scene = corpus(tmp_path).scene(0, CONTRACT)
    boxes = scene.boxes(NAMES)
    assert boxes["right lobe"] == box_of(scene.labels == 2)
    assert (scene.labels[scene.cores == FIRST_LESION] == 2).all()
    assert set(boxes) == {"left lobe", "right lobe", "enhancing mass"}


def test_a_slice_is_the_volumes_own_slice_with_the_lesion_in_the_same_place(tmp_path):
    told = corpus(tmp_path)
    volume, flat = told.scene(0, CONTRACT), told.scene(1, CONTRACT)
    deep, shallow = volume.boxes(NAMES)["enhancing mass"], flat.boxes(NAMES)["enhancing mass"]
    assert (deep.low[:2], deep.high[:2]) == (shallow.low[:2], shallow.high[:2])
    assert box_of(flat.cores > 0) == shallow


def test_what_is_hidden_is_neither_there_nor_absent(tmp_path):
    healthy = corpus(tmp_path).scene(2, CONTRACT)
    assert "calcification" not in healthy.boxes(NAMES)
    assert healthy.absent(NAMES) == ["stem", "enhancing mass"]
    taught = pool_of([healthy], len(NAMES)).taught
    assert not taught[0, NAMES.index("calcification")]
    assert taught.sum() == len(NAMES) - 1


def test_a_pixel_counts_as_structure_and_as_lesion():
    random = np.random.default_rng(1)
    labels, cores = random.integers(0, 4, (3, 16, 24)), 4 * random.integers(0, 2, (3, 16, 24))
    counts = patch_counts(labels.astype(np.uint8), cores.astype(np.uint8), 6, 8)
    for label in range(4):
        assert (counts[:, label].sum((1, 2)) == (labels == label).sum((1, 2))).all()
    assert (counts[:, 4].sum((1, 2)) == (cores == 4).sum((1, 2))).all()
    assert counts[1, 2, 1, 2] == (labels[1, 8:, 16:] == 2).sum()


def test_boxes_by_slice_and_cuboids_agree_with_the_masks(tmp_path):
    scene = corpus(tmp_path).scene(0, CONTRACT)
    pool = pool_of([scene], len(NAMES))
    assert pool.boxes is not None
    assert pool.cuboids is not None
    for label, layer in ((1, scene.labels), (2, scene.labels), (FIRST_LESION, scene.cores)):
        whole = box_of(layer == label)
        side = scene.labels.shape[1]
        for z, cuboid in enumerate(pool.cuboids[:, label]):
            assert np.allclose(cuboid[:4] * side, [*whole.low[:2], *whole.high[:2]])
            assert np.allclose(z + cuboid[4:] * 16, [whole.low[2], whole.high[2]])
            there = (layer[z] == label).any()
            if there:
                here = box_of(layer[z : z + 1] == label)
                assert pool.boxes[z, label].tolist() == [*here.low[:2], *here.high[:2]]
            else:
                assert (pool.boxes[z, label] == -1).all()


def test_an_absent_label_has_no_box():
    boxes = slice_boxes(np.ones((2, 8, 8), np.uint8), 3)
    assert (boxes[:, 2] == -1).all()
    assert cuboids_of(boxes, 2, 8).shape == (2, 3, 6)


def test_a_moved_picture_takes_its_boxes_and_sides_along(tmp_path):
    told = corpus(tmp_path)
    pool = pool_of([told.scene(i, CONTRACT) for i in (1, 1, 1, 1, 1, 1, 1, 1)], len(NAMES))
    swap = swapped(NAMES)
    assert [NAMES[k] for k in swap] == [
        "background",
        "right lobe",
        "left lobe",
        "stem",
        "enhancing mass",
        "calcification",
    ]
    out = moved(pool, swap, np.random.default_rng(5))
    assert out.boxes is not None
    sides, hosts = set(), set()
    for i in range(8):
        for label, layer in ((1, out.labels), (2, out.labels), (FIRST_LESION, out.cores)):
            there = layer[i : i + 1] == label
            here = box_of(there)
            assert np.abs(out.boxes[i, label] - [*here.low[:2], *here.high[:2]]).max() <= 1.0
            assert out.boxes[i, label].min() >= 0 and out.boxes[i, label].max() <= 32
        assert out.pictures[i][out.cores[i] > 0].mean() > out.pictures[i][out.cores[i] == 0].mean()
        sides.add(bool(out.boxes[i, 1, 0] < out.boxes[i, 2, 0]))
        (under,) = np.unique(out.labels[i][out.cores[i] > 0])
        hosts.add(int(under))
    assert sides == {False}  # radiological: the patient's right stays on the left of the picture
    assert hosts == {1, 2}  # mirrored, the mass is in the lobe now called left
    assert len({tuple(box) for box in out.boxes[:, 1].tolist()}) == 8


def test_a_mirrored_volume_mirrors_its_cuboids_and_a_sagittal_picture_is_never_mirrored(tmp_path):
    pool = pool_of([corpus(tmp_path).scene(0, CONTRACT)], len(NAMES))
    swap = swapped(NAMES)
    assert pool.cuboids is not None
    out = moved(pool, swap, np.random.default_rng(0))
    assert out.cuboids is not None
    assert (out.cuboids[..., 4:][:, [0, 3, 4, 5]] == pool.cuboids[..., 4:][:, [0, 3, 4, 5]]).all()
    first = pool.cuboids[:, 1, 0] < pool.cuboids[:, 2, 0]
    turned = (out.cuboids[:, 1, 0] < out.cuboids[:, 2, 0]) != first
    assert not turned.any()  # names are swapped with the sides: left stays on its side of the picture
    assert len({bool(left > 0.5) for left in out.cuboids[:, FIRST_LESION, 0]}) == 2  # some were mirrored, some not
    still = moved(replace(pool, sided=np.zeros(len(pool.sided), bool)), swap, np.random.default_rng(0))
    assert still.cuboids is not None
    assert (np.sign(still.cuboids[:, FIRST_LESION, 0] - 0.5) == np.sign(pool.cuboids[:, FIRST_LESION, 0] - 0.5)).all()
