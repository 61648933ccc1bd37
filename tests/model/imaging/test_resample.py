import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.imaging.resample import sample, weights

lengths = st.integers(2, 90)
edges = st.floats(0, 1)


@given(lengths, lengths, edges, edges, st.booleans())
def test_a_ramp_comes_out_as_the_same_ramp(n, size, a, b, flipped):
    low, high = sorted((a * n, b * n))
    high = min(max(high, low + 0.5), n)
    low = min(low, high - 0.5)
    span = (high, low) if flipped else (low, high)
    middles = span[0] + (np.arange(size) + 0.5) * (span[1] - span[0]) / size - 0.5
    assert np.abs(sample(np.arange(n, dtype=np.float32), [span], [size]) - middles).max() < 1e-4


def test_a_ramp_survives_three_axes_at_once():
    x, y, z = np.meshgrid(np.arange(20), np.arange(31), np.arange(9), indexing="ij")
    seen = sample((x + 2 * y + 3 * z).astype(np.float32), [(0, 20), (31, 0), (0, 9)], [7, 48, 9])
    x, y, z = np.meshgrid(
        (np.arange(7) + 0.5) * 20 / 7, 31 - (np.arange(48) + 0.5) * 31 / 48, np.arange(9) + 0.5, indexing="ij"
    )
    assert np.abs(seen - (x + 2 * y + 3 * z - 3)).max() < 1e-4


@given(lengths, lengths)
def test_a_constant_stays_constant(n, size):
    _, matrix = weights(n, 0, n, size)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-6)


def test_agreeing_grids_change_nothing():
    row = np.random.default_rng(0).random(40, dtype=np.float32)
    assert np.array_equal(sample(row, [(0, 40)], [40]), row)
    assert np.array_equal(sample(row, [(40, 0)], [40]), row[::-1])


def test_halving_is_the_mean_of_pairs():
    row = np.random.default_rng(0).random(40, dtype=np.float32)
    assert np.allclose(sample(row, [(0, 40)], [20]), row.reshape(20, 2).mean(axis=1))


def test_shrinking_skips_no_voxel():
    _, matrix = weights(60, 0, 60, 7)
    assert (matrix.sum(axis=0) > 0).all()


def test_only_the_voxels_that_are_used_are_touched():
    touched = []
    sample(
        np.zeros((50, 50), np.float32), [(10, 20), (30, 31)], [10, 1], lambda part: touched.append(part.shape) or part
    )
    assert touched == [(10, 1)]


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.7, 1 / 3, 25.6 - 25])
def test_a_ratio_of_one_spoilt_by_rounding_is_still_finite(shift: float) -> None:
    """Spans as crops make them: 40 of 80 pixels of 64 voxels, read backwards, drawn on 32 rows."""
    for low in np.arange(0, 30, 0.8):
        _, matrix = weights(64, low + shift + 32 * (1 + 1e-15), low + shift, 32)
        assert np.isfinite(matrix).all()
        assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)
