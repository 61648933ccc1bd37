import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.imaging.prepare import prepare
from model.interface.boxes import Box
from monitoring.rows import CATEGORICAL, NUMERICAL, by_study, conduct, picture, row
from tests.components.evaluation.made import CONTRACT, trace
from tests.model.imaging.phantom import head

SLICES = arrays(np.uint8, (2, 6, 6))
BOX = Box.of((0, 0, 0, 32, 32, 8))


def test_a_row_holds_numbers_and_a_letter_and_nothing_else() -> None:
    made = row(trace(BOX), prepare(head(), CONTRACT))
    assert set(made) == set(NUMERICAL) | set(CATEGORICAL)
    assert all(isinstance(made[name], float) for name in NUMERICAL)
    assert made["letter"] == "B"


@given(SLICES)
def test_any_picture_has_finite_statistics(slices: np.ndarray) -> None:
    assert all(np.isfinite(value) for value in picture(slices).values())


@given(SLICES)
def test_mirroring_a_picture_changes_nothing(slices: np.ndarray) -> None:
    assert picture(slices[..., ::-1]) == pytest.approx(picture(slices))


def test_background_does_not_count() -> None:
    """A head in a larger field of view has the same intensities."""
    slices = np.random.default_rng(0).integers(60, 200, (1, 8, 8), np.uint8)
    framed = np.pad(slices, ((0, 0), (4, 4), (4, 4)))
    near, far = picture(slices), picture(framed)
    for name in ("intensity_mean", "intensity_std", "intensity_p50", "intensity_entropy"):
        assert near[name] == far[name]
    assert far["foreground_share"] == 0.25


def test_conduct_is_counted() -> None:
    made = conduct(trace(BOX, BOX, crops=3))
    assert (made["boxes"], made["crops"], made["valid_format"]) == (2, 6, 1)
    assert made["box_share"] == 32 * 32 * 8 / (64 * 64 * 16)
    assert conduct(trace(letter="so it is"))["letter"] == "none"


@given(st.lists(st.sampled_from("abc"), min_size=1))
def test_a_study_is_one_row_however_often_it_is_asked_about(studies: list[str]) -> None:
    rows = [(study, {**dict.fromkeys(NUMERICAL, float(i)), "letter": "A"}) for i, study in enumerate(studies)]
    merged = by_study(rows)
    assert len(merged) == len(set(studies))
    places = [i for i, study in enumerate(studies) if study == studies[0]]
    assert merged[0]["boxes"] == sum(places) / len(places)
