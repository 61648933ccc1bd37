"""Measured inside their extents, things are what whole masks say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.cot.studies import contrast_to_noise
from components.data.cot.things import HOST_SHARE, LEAST, NARROWEST, cut, overlap, slice_of, things
from components.data.sources.case import Outline
from model.imaging.volume import SLICE_AXIS, Volume
from model.interface.boxes import iou
from tests.components.data.cot import blobs


@given(seed=st.integers(0, 400), axis=st.integers(0, 2), at=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40)
def test_a_cut_outline_is_the_slice_of_its_mask(seed, axis, at):
    body = blobs.body(seed)
    k = int(at * blobs.SHAPE[axis])
    shown = {o.name: o for o in cut(body.outlines, axis, k)}
    shape = tuple(1 if a == axis else n for a, n in enumerate(blobs.SHAPE))
    for outline in body.outlines:
        mask = np.take(outline.mask(blobs.SHAPE), [k], axis)
        assert (outline.name in shown) == mask.any()
        if mask.any():
            assert (shown[outline.name].mask(shape) == mask).all()  # type: ignore[arg-type]


@given(seed=st.integers(0, 400))
@settings(max_examples=30)
def test_a_thing_is_as_its_whole_mask(seed):
    body = blobs.body(seed)
    masks = {o.name: o.mask(blobs.SHAPE) for o in body.outlines}
    found = {thing.name: thing for thing in things(body.outlines, body.volume)}
    for name, mask in masks.items():
        places = np.argwhere(mask)
        sides = places.max(0) + 1 - places.min(0)
        kind = "lesion" if name == blobs.LESION else "structure"
        assert (name in found) == (len(places) >= LEAST[kind] and min(sides) >= NARROWEST)
        if name not in found:
            continue
        thing = found[name]
        assert thing.box.numbers == (*places.min(0), *(places.max(0) + 1))
        assert np.allclose(thing.centre, places.mean(0) + 0.5)
        assert thing.size == pytest.approx(len(places) * np.prod(blobs.SPACING))
        assert thing.cut == bool((places.min(0) == 0).any() or (places.max(0) + 1 == blobs.SHAPE).any())
        if thing.is_lesion:
            shares = {n: (mask & other).sum() / mask.sum() for n, other in masks.items() if n != name}
            partly = [n for n, share in shares.items() if share > 1 - HOST_SHARE]
            assert thing.host == (partly[0] if len(partly) == 1 and shares[partly[0]] >= HOST_SHARE else "")
            boxes = {o.name: o.box for o in body.outlines}
            clear = {n for n in shares if iou(boxes[n], boxes[name]) == 0}
            assert thing.outside <= clear
            assert all(shares[n] == 0 for n in thing.outside)


@given(seed=st.integers(0, 99))
@settings(max_examples=20)
def test_overlap_is_the_number_of_shared_voxels(seed):
    random = np.random.default_rng(seed)
    masks = [blobs.ball(random.uniform((10, 10, 5), (38, 30, 19)), random.uniform(1, 12, 3)) for _ in range(2)]
    a, b = (Outline.of("liver", mask) for mask in masks)
    assert a
    assert b
    assert overlap(a, b) == overlap(b, a) == (masks[0] & masks[1]).sum()


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_slice_lies_where_it_was_cut(plane):
    volume = blobs.body(0).volume
    one = slice_of(volume, plane, 7)
    axis = SLICE_AXIS[plane]
    assert (one.voxels == np.take(volume.voxels, [7], axis)).all()
    index = [3, 5, 2]
    index[axis] = 7
    whole = volume.affine @ [*index, 1]
    index[axis] = 0
    assert np.allclose(one.affine @ [*index, 1], whole)
    assert (one.plane, one.dimension, one.modality) == (plane, 2, volume.modality)


def test_contrast_to_noise_of_a_known_step():
    random = np.random.default_rng(0)
    voxels = random.normal(100, 10, (40, 40, 20)).astype(np.float32)
    mask = np.zeros(voxels.shape, bool)
    mask[10:20, 10:20, 5:12] = True
    outline = Outline.of("liver tumour", mask)
    assert outline
    assert contrast_to_noise(voxels, outline) < 0.3
    voxels[mask] += 30
    assert contrast_to_noise(voxels, outline) == pytest.approx(3, abs=0.3)
    everything = Outline.of("liver tumour", np.ones(voxels.shape, bool))
    assert everything
    assert contrast_to_noise(voxels, everything) == 0


def test_a_picture_has_no_millimetres():
    body = blobs.body(5, known=False)
    sizes = [thing.size for thing in things(body.outlines, body.volume)]
    assert sizes == [float(o.inside.sum()) for o in body.outlines if o.inside.sum() >= LEAST["structure"]]
    assert isinstance(body.volume, Volume)
