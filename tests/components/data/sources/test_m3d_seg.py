import json

import numpy as np
import pytest
from nibabel.orientations import apply_orientation
from scipy import sparse

from components.data.sources.m3d_seg import cases
from model.interface.errors import BadInput
from tests.components.data.sources.layouts import AS_STORED, SHAPE, blob, m3d_case, m3d_seg, scan
from tests.components.data.sources.test_calibration import ORGANS, patient
from tests.components.data.sources.test_calibration import SHAPE as BODY
from tests.model.imaging.phantom import ORIENTATIONS

MASK = "mask_(4, 20, 16, 12).npz"


def built(root):
    m3d_seg(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def one(root, labels, masks, image=None, code="0014"):
    """A set of one case."""
    random = np.random.default_rng(2)
    image = (scan(random) / 300).astype(np.float32) if image is None else image
    m3d_case(root, code, "1", image, masks)
    entry = {"image": f"{code}/1/image.npy", "label": f"{code}/1/mask_{(len(masks), *image.shape)}.npz"}
    table = {str(value): name for value, name in enumerate(["background", *labels])}
    (root / code / f"{code}.json").write_text(json.dumps({"labels": table, "train": [entry], "test": []}))
    return next(cases(root))


def test_neither_hounsfield_units_nor_spacing_nor_sides_are_claimed(tmp_path):
    found = built(tmp_path)["0003-3"].open()
    assert (found.volume.modality, found.volume.spacing_known, found.sides) == ("", False, "unknown")
    assert found.sought == {"liver", "left common carotid artery", "spleen", "pancreas"}


def test_splits_are_the_set_s(tmp_path):
    found = built(tmp_path)
    assert {study: case.split for study, case in found.items()} == {
        "0003-12": "train", "0003-3": "train", "0003-7": "test",
    }  # fmt: skip


def test_a_name_listed_twice_names_neither_row(tmp_path):
    names = ["lumbar spine L1", "lumbar spine L1", "lumbar spine L3"]
    found = one(tmp_path, names, [blob(np.random.default_rng(k)) for k in range(3)]).open()
    assert [outline.name for outline in found.outlines] == ["L3 vertebra"]
    assert found.sought == {"L3 vertebra"}
    assert any("'lumbar spine L1' is listed twice" in warning for warning in found.warnings)


@pytest.mark.parametrize("k", [0, 13, 30, 47])
def test_organs_tell_the_sides_that_the_file_lost(tmp_path, k):
    truth = patient()
    masks = {
        outline.name: np.asarray(apply_orientation(outline.mask(BODY), ORIENTATIONS[k])) for outline in truth.outlines
    }
    image = np.ascontiguousarray(apply_orientation(truth.volume.voxels, ORIENTATIONS[k]))
    found = one(tmp_path, list(masks), list(masks.values()), image).open()
    assert found.sides == "patient"
    assert set(masks) == set(ORGANS)
    wanted = {outline.name: outline.mask(BODY) for outline in truth.outlines}
    assert all((outline.mask(BODY) == wanted[outline.name]).all() for outline in found.outlines)


def test_masks_whose_name_gives_another_shape_are_refused(tmp_path):
    built(tmp_path)
    for wrong in ("mask_(4, 16, 20, 12).npz", "mask_(3, 20, 16, 12).npz", "mask.npz"):
        path = tmp_path / "0003/3" / MASK
        other = path.rename(path.with_name(wrong))
        listed = (tmp_path / "0003/0003.json").read_text()
        (tmp_path / "0003/0003.json").write_text(listed.replace(f"0003/3/{MASK}", f"0003/3/{wrong}"))
        case = {case.study: case for case in cases(tmp_path)}["0003-3"]
        with pytest.raises(BadInput, match="another shape") as caught:
            case.open()
        assert wrong in caught.value.where
        other.rename(path)
        (tmp_path / "0003/0003.json").write_text(listed)


def test_a_pickle_is_never_opened(tmp_path):
    case = built(tmp_path)["0003-3"]
    kept = case.files[0].read_bytes()
    np.save(case.files[0], np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(BadInput, match="can't be read"):
        case.open()
    case.files[0].write_bytes(kept)
    np.savez(case.files[1], indices=np.array([{"a": 1}], object), indptr=np.zeros(5), format=b"csr", shape=(4, 3840))
    with pytest.raises(BadInput, match="can't be read"):
        case.open()


@pytest.mark.parametrize(
    "array", [np.zeros((1, *SHAPE), np.float32), np.full((1, *SHAPE), np.nan, np.float32), np.zeros(SHAPE, np.float32)]
)
def test_an_image_with_nothing_to_see_is_refused(tmp_path, array):
    case = built(tmp_path)["0003-3"]
    np.save(case.files[0], array)
    with pytest.raises(BadInput) as caught:
        case.open()
    assert "image.npy" in caught.value.where


def test_a_case_in_two_splits_is_refused(tmp_path):
    built(tmp_path)
    path = tmp_path / "0003/0003.json"
    stored = json.loads(path.read_text())
    stored["test"] += stored["train"][:1]
    path.write_text(json.dumps(stored))
    with pytest.raises(BadInput) as caught:
        list(cases(tmp_path))
    assert "0003/12/image.npy twice" in caught.value.where


def test_zeros_that_a_sparse_matrix_stores_are_outside(tmp_path):
    case = built(tmp_path)["0003-3"]
    wanted = {outline.name: outline.mask(SHAPE) for outline in case.open().outlines}
    matrix = sparse.load_npz(case.files[1])
    dense = matrix.toarray()
    rows, columns = np.indices(dense.shape)
    full = sparse.csr_matrix((dense.ravel(), (rows.ravel(), columns.ravel())), dense.shape)
    assert full.nnz == dense.size
    sparse.save_npz(case.files[1], full)
    for outline in case.open().outlines:
        assert (outline.mask(SHAPE) == wanted[outline.name]).all()
