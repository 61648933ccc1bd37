import numpy as np
import pytest
from scipy import ndimage as ndi

from components.data import contrasts, heads, studies
from components.data.labels import ID, NAMES, PAIRED
from components.data.lesions import VISIBLE_CNR
from model.imaging.frame import frame_of
from model.imaging.volume import SLICE_AXIS
from model.interface.boxes import Box
from model.interface.contract import Contract
from tests.components.data.conftest import GRID, head


def test_the_left_twin_is_shown_further_right_in_mirrored_heads_too(anatomy):
    mirrored = set()
    for k in range(6):
        labels, flipped = heads.warp(np.random.default_rng(k), anatomy["9861"], GRID)
        mirrored.add(flipped)
        volume, _ = studies.whole(studies.Head("h", anatomy["9861"], "train", "T1", GRID, labels, [], labels))
        frame = frame_of(volume.volume, Contract())
        column = {}
        for i, where in enumerate(ndi.find_objects(labels), start=1):
            if where and (labels == i).sum() > 30:
                box = Box.of((*(s.start for s in where), *(s.stop for s in where)))
                column[NAMES[i]] = frame.to_model(box).centre[0]
        both = [name for name in PAIRED if f"left {name}" in column and f"right {name}" in column]
        assert len(both) > 12
        assert all(column[f"left {name}"] > column[f"right {name}"] for name in both)
    assert mirrored == {True, False}


def test_the_same_seed_paints_the_same_bytes(anatomy, made):
    again = head(anatomy, 3)
    assert again.voxels.tobytes() == made[3].voxels.tobytes()
    assert again.labels.tobytes() == made[3].labels.tobytes()


def test_a_slice_is_the_volumes_own_and_lies_where_it_was_cut(asked):
    volumes = {a.head.name: a.study.volume for a in asked if a.scene.dimension == 3}
    planes = set()
    for a in (a for a in asked if a.scene.dimension == 2):
        volume, axis, at = volumes[a.head.name], SLICE_AXIS[a.scene.plane], int(a.study.id.rsplit("-", 1)[1])
        planes.add(a.scene.plane)
        assert np.array_equal(a.study.volume.voxels, np.take(volume.voxels, [at], axis))
        there = np.eye(4)[3] + np.eye(4)[axis] * at
        assert np.allclose(a.study.volume.affine[:, 3], volume.affine @ there)
        assert a.scene.labels.shape == a.study.volume.shape
        assert a.study.group == a.head.name
    assert planes == set(studies.PLANES)


def test_what_is_seen_stands_out_and_is_large_enough(asked):
    seen = [(a.scene, lesion) for a in asked for lesion in a.scene.lesions]
    assert {scene.dimension for scene, _ in seen} == {2, 3}
    for scene, lesion in seen:
        assert lesion.cnr >= VISIBLE_CNR
        assert lesion.core.any()
        pieces, _ = ndi.label(lesion.core, np.ones((3, 3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
        axis = SLICE_AXIS[scene.plane] if scene.dimension == 2 else None
        unit = np.prod([mm for k, mm in enumerate(scene.spacing_mm) if k != axis])
        assert min(np.bincount(pieces.ravel())[1:]) * unit >= studies.LEAST_PIECE_MM[scene.dimension]


def test_what_is_painted_is_seen_or_hidden(asked):
    for a in (a for a in asked if a.scene.dimension == 3):
        assert {seen.kind for seen in a.scene.lesions} | a.scene.hidden == {lesion.kind for lesion in a.head.lesions}


def test_a_lesion_painted_like_its_surroundings_is_hidden(anatomy):
    some = next(h for k in range(40) if (h := head(anatomy, k)).lesions and studies.whole(h)[1].lesions)
    flat = np.where(some.labels > 0, 100, 0).astype(some.voxels.dtype)
    noise = np.random.default_rng(0).integers(-9, 10, flat.shape)
    grey = np.where(some.labels > 0, flat + noise, 0).astype(some.voxels.dtype)
    _, scene = studies.whole(studies.Head("h", some.subject, "train", "T1", GRID, some.labels, some.lesions, grey))
    assert not scene.lesions
    assert scene.hidden == {lesion.kind for lesion in some.lesions}


@pytest.mark.parametrize("contrast", contrasts.TRAINED)
def test_voxels_are_stored_as_a_scanner_writes_them(anatomy, contrast):
    some = studies.make_head(np.random.default_rng(0), "h", "train", anatomy["9861"], (contrast,), GRID)
    air = np.logical_not(ndi.binary_dilation(some.labels > 0))
    if contrast == "CT":
        assert some.voxels.dtype == np.int16
        assert abs(np.median(some.voxels[some.labels == ID["left white matter"]]) - 28) < 8
        assert set(np.unique(some.voxels[air])) == {-1000}
    else:
        assert some.voxels.dtype == np.uint8
        assert not some.voxels[air].any()


def test_licence_and_provenance_tell_the_donor_from_the_atlas():
    assert "CC BY 4.0" in studies.licence_of("9861") and "FreeSurfer" in studies.licence_of("9861")
    assert "CC BY" not in studies.licence_of("cvs_avg35")
    assert "donor 9861" in studies.provenance_of("9861")
