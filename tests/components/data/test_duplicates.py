import io
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components.data import duplicates
from components.data.duplicates import NEAR, Print, alike, hash_of, near_hashes, near_pairs, print_of
from model.imaging.prepare import prepare
from model.interface.contract import Contract

HASHES = st.lists(st.tuples(st.integers(0, 2**64 - 1)), min_size=1, max_size=12)
BITS = st.lists(st.integers(0, 63), max_size=9)


def turned(value: int, bits: list[int]) -> int:
    for bit in set(bits):
        value ^= 1 << bit
    return value


@given(bases=HASHES, changes=st.lists(st.tuples(st.integers(0, 11), BITS), max_size=12), near=st.integers(0, 9))
def test_the_search_finds_what_comparing_each_with_each_finds(bases, changes, near):
    hashes = [*bases, *((turned(bases[k % len(bases)][0], bits),) for k, bits in changes)]
    seen = list(dict.fromkeys(hashes))  # of equal ones the first alone meets others
    first = [hashes.index(one) for one in seen]
    wanted = {(i, j) for (i, (a,)), (j, (b,)) in combinations(zip(first, seen, strict=True), 2)
              if (a ^ b).bit_count() <= near}  # fmt: skip
    wanted |= {(hashes.index(one), k) for k, one in enumerate(hashes) if hashes.index(one) != k}
    found = list(near_hashes(np.array(hashes, np.uint64), near))
    assert len(found) == len(set(found))
    assert set(found) == wanted


@given(bits=BITS)
def test_memory_bound_pieces_change_nothing(bits):
    values = [(turned(0, bits[:k]),) for k in range(len(bits) + 1)] + [(k,) for k in range(40)]
    hashes = np.array(values, np.uint64)
    whole = sorted(near_hashes(hashes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "BLOCK", 7)
        assert sorted(near_hashes(hashes)) == whole


def test_all_pictures_of_a_volume_must_be_near():
    small = np.random.default_rng(0).integers(0, 255, (3, 16, 16), np.uint8)
    prints = [Print((5, 6, 7), small), Print((5, 6, 7 ^ 0xFF), small), Print((4, 6, 3), small)]
    assert list(near_pairs(prints)) == [(0, 2)]


def test_a_thousand_black_pictures_are_999_pairs():
    black = Print((0,), np.zeros((1, 16, 16), np.uint8))
    assert len(list(near_pairs([black] * 1000))) == 999


def jpeg(picture: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream))


ALTERED = {
    "jpeg": jpeg,
    "smaller": lambda p: np.asarray(Image.fromarray(p).resize((67, 67), Image.Resampling.BILINEAR)),
    "other tones": lambda p: np.clip(p * 0.8 + 20, 0, 255).astype(np.uint8),
    "noisy": lambda p: np.clip(p + np.random.default_rng(1).normal(0, 6, p.shape), 0, 255).astype(np.uint8),
    "in colour": lambda p: np.stack([p, p, p], -1),
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_copy_of_a_slice_is_near(asked, how):
    slices = [prepare(one.study.volume, Contract()).slices[0] for one in asked if one.scene.dimension == 2]
    apart = [(hash_of(one) ^ hash_of(ALTERED[how](one))).bit_count() for one in slices]
    assert np.quantile(apart, 0.98) <= NEAR


def test_slices_of_different_heads_are_not_nearly_the_same(asked):
    prepared = [prepare(one.study.volume, Contract()) for one in asked]
    pairs = list(near_pairs([print_of(one) for one in prepared]))
    assert all(asked[i].head is asked[j].head for i, j in pairs)


def test_a_second_look_tells_apart_what_a_hash_does_not():
    random = np.random.default_rng(0)
    one, other = (Print((5,), random.integers(0, 255, (1, 16, 16), np.uint8)) for _ in range(2))
    assert alike(one, one)
    assert not alike(one, other)
    assert list(near_pairs([one, other])) == []
