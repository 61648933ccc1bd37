import numpy as np
import pytest

from components.data.anatomy import CACHE
from components.data.labels import ENVELOPE, ID, NAMES
from components.data.lesions import KINDS
from components.data.sources import embedded
from components.data.sources.ontology import canonical
from model.imaging.volume import SLICE_AXIS

GRID = (64, 64, 44)


@pytest.fixture(scope="module")
def listed():
    return list(embedded.cases(CACHE, counts=(6, 1, 1), slices=4, grid=GRID))


@pytest.fixture(scope="module")
def opened(listed):
    """The first head's."""
    return [(case, case.open()) for case in listed[:5]]


def test_a_head_is_a_volume_and_slices_in_all_three_planes(opened):
    planes = [labelled.volume.plane for _, labelled in opened[1:]]
    assert planes == ["axial", "coronal", "sagittal", "axial"]
    assert opened[0][1].volume.shape == GRID
    for plane, (case, labelled) in zip(planes, opened[1:], strict=True):
        assert labelled.volume.shape[SLICE_AXIS[plane]] == 1
        assert plane in case.study
    assert all(labelled.sides == "patient" for _, labelled in opened)


def test_outlines_are_the_labels_that_were_painted(opened):
    head = embedded._head(CACHE, "train", 0, GRID, embedded.DEFAULTS.seed)
    volume = opened[0][1]
    structures = {o.name: o for o in volume.outlines if o.name in NAMES}
    for name in set(NAMES[1:]) - set(ENVELOPE):
        painted = head.labels == ID[name]
        assert (name in structures) == painted.any()
        if painted.any():
            assert (structures[name].mask(GRID) == painted).all()


def test_what_is_painted_but_not_plain_to_see_is_not_sought(listed):
    hidden = 0
    for case in listed[:30]:
        labelled = case.open()
        outlined = {outline.name for outline in labelled.outlines}
        hidden += len(set(KINDS) - labelled.sought)
        assert outlined <= labelled.sought <= {*NAMES, *KINDS}
        assert not labelled.sought & set(ENVELOPE)
        assert all(canonical(name) == name for name in labelled.sought)
    assert hidden


def test_nobody_is_in_two_splits(listed):
    splits = {(case.subject, case.split) for case in listed}
    assert len(splits) == len({subject for subject, _ in splits}) == 7
    assert all(len(case.files) == 1 + (case.subject != "cvs_avg35") for case in listed)
    assert "FreeSurfer" in listed[0].licence


def test_opening_alone_or_in_turn_is_the_same(listed, opened):
    embedded._head.cache_clear()
    again = listed[3].open()
    assert again.volume.digest == opened[3][1].volume.digest
    assert all(
        (a.inside == b.inside).all() and a.low == b.low
        for a, b in zip(again.outlines, opened[3][1].outlines, strict=True)
    )
    assert not np.array_equal(opened[1][1].volume.voxels, opened[4][1].volume.voxels)
