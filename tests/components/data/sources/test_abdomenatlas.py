import numpy as np

from components.data.sources.abdomenatlas import LABELS, cases
from components.data.sources.ontology import named_all
from tests.components.data.sources.layouts import AS_STORED, SHAPE, abdomenatlas, write


def built(root):
    abdomenatlas(root, np.random.default_rng(1), AS_STORED)
    return {case.study: case for case in cases(root)}


def test_left_comes_before_right(tmp_path):
    names, _ = named_all(LABELS)
    assert (names[3], names[4], names[10], names[11]) == (
        "left kidney", "right kidney", "left adrenal gland", "right adrenal gland",
    )  # fmt: skip
    assert len(set(names.values())) == 25
    assert built(tmp_path)["BDMAP_00000001"].open().sought == set(names.values())


def test_a_mask_that_is_empty_says_that_the_organ_is_absent(tmp_path):
    found = built(tmp_path)["BDMAP_00000002"].open()
    assert "spleen" in found.sought
    assert "spleen" not in {outline.name for outline in found.outlines}
    assert "stomach" not in found.sought


def test_masks_are_preferred_to_the_map(tmp_path):
    built(tmp_path)
    write(tmp_path / "BDMAP_00000002/combined_labels.nii.gz", np.ones(SHAPE, np.uint8), AS_STORED)
    found = {case.study: case for case in cases(tmp_path)}["BDMAP_00000002"].open()
    assert "aorta" not in found.sought


def test_the_person_is_the_number_that_other_sets_use_too(tmp_path):
    assert {case.subject for case in built(tmp_path).values()} == {"BDMAP_00000001", "BDMAP_00000002"}
