import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.data.sources.case import Labelled, Outline, outlines_of, unnamed
from model.imaging.volume import Volume

MAPS = arrays(np.uint16, (4, 5, 3), elements=st.sampled_from([0, 1, 2, 7, 300, 65535]))


@given(MAPS)
def test_outlines_of_a_map_are_its_values(labels):
    names = {1: "a", 2: "b", 300: "c", 65535: "d"}
    found = {outline.name: outline for outline in outlines_of(labels.astype(np.float32), names)}
    for value, name in names.items():
        assert (name in found) == (labels == value).any()
        if name in found:
            assert (found[name].mask(labels.shape) == (labels == value)).all()
    assert set(unnamed(labels, names)) == set(np.unique(labels).tolist()) - {0, *names}


@given(MAPS)
def test_values_of_one_name_are_one_outline_and_a_value_without_a_name_is_none(labels):
    found = outlines_of(labels, {1: "a", 2: "", 7: "a"})
    wanted = Outline.of("a", np.isin(labels, (1, 7)))
    assert [outline.name for outline in found] == (["a"] if wanted else [])
    if wanted:
        assert (found[0].low, found[0].box) == (wanted.low, wanted.box)
        assert (found[0].inside == wanted.inside).all()


@given(arrays(bool, (4, 5, 3)))
def test_an_outline_is_cropped_to_its_extent_and_gives_its_mask_back(mask):
    outline = Outline.of("liver", mask)
    assert (outline is None) == (not mask.any())
    if outline:
        assert (outline.mask(mask.shape) == mask).all()
        assert all(np.asarray(outline.inside.any(others))[[0, -1]].all() for others in ((1, 2), (0, 2), (0, 1)))
        assert outline.box.size == outline.inside.shape


def test_a_labelled_image_keeps_its_promises():
    frameless = Volume(np.zeros((4, 5, 1), np.float32), np.eye(4), "", False, "image")
    spot = Outline("liver", (1, 1, 0), np.ones((2, 2, 1), bool))
    Labelled(frameless, (spot,), "image", (), frozenset({"liver", "spleen"}))
    with pytest.raises(ValueError, match="no frame"):
        Labelled(frameless, (spot,), "patient", (), frozenset({"liver"}))
    with pytest.raises(ValueError, match="twice"):
        Labelled(frameless, (spot, spot), "image", (), frozenset({"liver"}))
    with pytest.raises(ValueError, match="not sought"):
        Labelled(frameless, (spot,), "image", (), frozenset({"spleen"}))
    with pytest.raises(ValueError, match="leaves the volume"):
        Labelled(frameless, (Outline("liver", (3, 1, 0), spot.inside),), "image", (), frozenset({"liver"}))
