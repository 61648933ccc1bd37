from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.duplicates import Print
from components.data.gates import (
    Entry,
    Stored,
    check_people,
    check_pictures,
    check_schema,
    check_sets,
    check_share,
    check_sides,
    crossed,
    person,
)
from model.interface.boxes import Box
from model.interface.errors import BadInput
from model.interface.question import Question, Remark

SPLITS = ("train", "val", "test")


def entry(name: str, source: str, subject: str, split: str) -> Entry:
    return Entry(name, source, subject, split)


@given(rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.sampled_from(SPLITS)), max_size=12))
def test_a_person_in_two_splits_is_found_and_only_then(rows):
    entries = [entry(f"s{k}", source, str(subject), split) for k, (source, subject, split) in enumerate(rows)]
    splits = {}
    for one in entries:
        splits.setdefault((one.source, one.subject), set()).add(one.split)
    if any(len(some) > 1 for some in splits.values()):
        with pytest.raises(BadInput, match="a person is in two splits"):
            check_people(entries)
    else:
        check_people(entries)


SAME = [
    (("abdomenatlas", "BDMAP_00000012"), ("deep_tumor_vqa", "BDMAP_12")),
    (("ct_rate", "train_7_a_1"), ("rad3d", "train_7")),
    (("radgenome_chestct", "valid_3"), ("rad3d", "test_3_b_2")),
]


@pytest.mark.parametrize("pair", SAME)
def test_one_person_of_two_sets_has_one_name(pair):
    assert person(*pair[0]) == person(*pair[1])
    a, b = (entry(f"s{k}", source, subject, SPLITS[k]) for k, (source, subject) in enumerate(pair))
    with pytest.raises(BadInput) as caught:
        check_people([a, b])
    assert caught.value.where == "1 found, wanted 0: s1 in val and s0 in train"


def test_other_people_have_other_names():
    assert person("rad3d", "train_1") != person("rad3d", "valid_1")
    assert person("msd", "BDMAP_1") != person("abdomenatlas", "BDMAP_1")


def test_an_error_names_a_few_and_counts_all():
    entries = [entry(f"s{k}", "a", str(k % 20), SPLITS[k // 20]) for k in range(40)]
    with pytest.raises(BadInput) as caught:
        check_people(entries)
    assert caught.value.where.startswith("20 found, wanted 0: s20 in val and s0 in train; ")
    assert caught.value.where.endswith("; …")
    assert "s25" not in caught.value.where


OVERLAPPING = [
    (("msd", "BRATS_001"), ("brats", "BraTS-GLI-00001")),
    (("abdomenatlas", "BDMAP_1"), ("msd", "liver_3")),
    (("deep_tumor_vqa", "BDMAP_1"), ("amos22", "amos_0004")),
    (("m3d_seg", "0002/3"), ("amos22", "amos_0004")),
    (("sa_med2d", "AMOS2022--amos_0004"), ("amos22", "amos_0004")),
    (("sa_med2d", "x--y"), ("omni_med_vqa", "ACRIMA--1")),
]


@pytest.mark.parametrize("pair", OVERLAPPING)
@pytest.mark.parametrize("splits", list(product(SPLITS, SPLITS)))
def test_sets_that_share_people_are_in_one_split_or_refused(pair, splits):
    entries = [Entry(f"s{k}", pair[k][0], pair[k][1], splits[k]) for k in (0, 1)]
    if splits[0] == splits[1]:
        check_sets(entries)
    else:
        with pytest.raises(BadInput, match="share people") as caught:
            check_sets(entries)
        assert all(source in caught.value.where for source, _ in pair)


def test_sets_that_share_nobody_may_be_anywhere():
    check_sets([entry("a", "msd", "liver_1", "train"), entry("b", "brats", "BraTS-1", "test")])
    check_sets([entry("a", "amos22", "amos_1", "train"), entry("b", "totalsegmentator", "s0001", "test")])


def test_near_pictures_across_splits_are_refused_and_within_counted():
    small = np.random.default_rng(0).integers(0, 255, (1, 16, 16), np.uint8)
    entries = [entry(f"s{k}", "a", str(k), split) for k, split in enumerate(("train", "train", "test", "test"))]
    volume = Print((0xFF0000FF, 0, 0), np.repeat(small, 3, 0))
    apart, far = Print((1,), small), Print((0xFFFF00,), small)
    assert check_pictures(entries, [apart, apart, far, volume]) == 1
    assert check_pictures(entries, [apart, far, Print((1,), 255 - small), volume]) == 0
    with pytest.raises(BadInput) as caught:
        check_pictures(entries, [far, apart, replace(far, hashes=(0xFFFF01,)), replace(apart, hashes=(3,))])
    assert caught.value.where == "2 found, wanted 0: s0 in train and s2 in test; s1 in train and s3 in test"


@dataclass(frozen=True)
class Region:
    name: str
    low: tuple[int, int, int]
    inside: np.ndarray


def at(name: str, x: int) -> Region:
    return Region(name, (x, 4, 4), np.ones((4, 3, 2), bool))


@given(left=st.integers(0, 90), right=st.integers(0, 90))
def test_left_lies_to_the_patient_s_left(left, right):
    """RAS+: x ascends to the patient's right."""
    found = crossed([at("left kidney", left), at("right kidney", right), at("liver", 60)], 100)
    assert found == (["left kidney"] if left > right + 3 else [])


def test_names_without_a_place_of_their_own_are_not_judged():
    heart = [at("left ventricle", 80), at("right ventricle", 10)]
    alone = [at("left kidney", 80), at("spleen", 10)]
    assert crossed(heart, 100) == crossed(alone, 100) == []


def test_a_centroid_is_where_the_voxels_are():
    lopsided = np.zeros((80, 1, 1), bool)
    lopsided[[0, 78, 79]] = True
    assert crossed([Region("left kidney", (0, 0, 0), lopsided), at("right kidney", 40)], 100) == ["left kidney"]


def test_crossed_sides_name_study_and_organ():
    with pytest.raises(BadInput) as caught:
        check_sides([("s1", [at("left kidney", 10), at("right kidney", 70)], 100),
                     ("s2", [at("left kidney", 70), at("right kidney", 10)], 100)])  # fmt: skip
    assert caught.value.where == "1 found, wanted 0: s2: left kidney"


def test_a_set_in_which_sides_are_often_contradicted_is_refused_and_a_single_case_is_not():
    check_share({"folder": ["s1"], "msd": [f"s{k}" for k in range(10)]}, {"folder": 2, "msd": 100})
    with pytest.raises(BadInput, match="the wrong way round") as caught:
        check_share({"folder": [f"s{k}" for k in range(11)]}, {"folder": 100})
    assert caught.value.where == (
        "folder: found 11 of 100 cases whose pairs contradict their frame, wanted 10 or fewer: s0; s1; s2; s3; s4; …"
    )


STORED = {"s": Stored("p", "train", 3, (10, 10, 10), True)}
GOOD = Question(
    "q", "s", "p", "train", 3, "lesion analysis", "What?", ("{0}", "{1}"), 0,
    (Box.of((0, 0, 0, 2, 2, 2)), Box.of((4, 4, 4, 6, 6, 6))), rationale=(Remark("At", Box.of((0, 0, 0, 2, 2, 2))),),
    licence="CC0", provenance="made",
)  # fmt: skip
WRONG = {
    "its id is another's too": [GOOD, GOOD],
    "two options are alike": [replace(GOOD, options=("a  b", "a b"))],
    "it has no answer": [replace(GOOD, answer=None)],
    "family 'x' is none of the six": [replace(GOOD, family="x")],
    "no licence": [replace(GOOD, licence="")],
    "no provenance": [replace(GOOD, provenance="")],
    "its study is not stored": [replace(GOOD, study="t")],
    "its subject is not its study's": [replace(GOOD, subject="other")],
    "its split is not its study's": [replace(GOOD, split="test")],
    "its dimension is not its study's": [replace(GOOD, dimension=2)],
    "a box leaves its study": [replace(GOOD, rationale=(Remark("At", Box.of((0, 0, 0, 2, 2, 11))),))],
}


def test_a_good_question_passes():
    check_schema([GOOD, replace(GOOD, id="r", study="")], STORED)


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_with_a_question_is_told(fault):
    with pytest.raises(BadInput, match="schema") as caught:
        check_schema(WRONG[fault], STORED)
    assert fault in caught.value.where
    assert "1 found" in caught.value.where


def test_equal_boxes_are_equal_options():
    with pytest.raises(BadInput) as caught:
        check_schema([replace(GOOD, regions=(GOOD.regions[0], GOOD.regions[0]))], STORED)
    assert "two options are alike" in caught.value.where


def test_sides_need_a_known_frame():
    with pytest.raises(BadInput) as caught:
        check_schema([replace(GOOD, laterality=True)], {"s": replace(STORED["s"], frame_known=False)})
    assert "sides that nobody knows" in caught.value.where
