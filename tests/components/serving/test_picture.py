from io import BytesIO

import numpy as np
import pytest

from components.serving.display import proportions
from components.serving.picture import BRIGHT, MARGIN, SIDE, WIDTH, picture
from model.interface.boxes import Box
from tests.components.serving.told import blob, image, question, study, trace
from tests.model.imaging.phantom import CONTRACT


def has(colour: str, pixels: np.ndarray) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(pixels.astype(int) - wanted).max(axis=2) <= 2).any())


def test_the_box_is_drawn_around_the_blob():
    prepared = study()
    shown = np.asarray(picture(trace(prepared, ("It is at ", blob(prepared))), prepared, question(), CONTRACT))
    left = shown[:, :600].astype(int)
    amber = np.abs(left - (0xFF, 0xB0, 0x20)).max(axis=2) <= 2
    rows, columns = np.nonzero(amber)
    inside = left[rows.min() + 6 : rows.max() - 6, columns.min() + 6 : columns.max() - 6]
    assert np.median(inside) > 240
    assert left[rows.max() + 12 : rows.max() + 30, columns.min() : columns.max()].mean() < 200


def test_every_look_has_its_colour():
    prepared = image()
    box = blob(prepared)
    shown = np.asarray(picture(trace(prepared, ("One ", box), ("two ", box)), prepared, question(2), CONTRACT))
    assert has(BRIGHT[0], shown)
    assert has(BRIGHT[1], shown)
    assert not has(BRIGHT[2], shown)


def test_only_boxes_on_the_shown_slice_are_drawn():
    prepared = study()
    low, high = Box.of((5, 5, 2, 30, 30, 5)), Box.of((35, 35, 20, 60, 60, 23))
    shown = np.asarray(picture(trace(prepared, ("One ", low), ("two ", high)), prepared, question(), CONTRACT))[:, :600]
    assert has(BRIGHT[0], shown) != has(BRIGHT[1], shown)


def test_x_runs_to_the_right_and_y_down():
    prepared = image()
    width, height, _ = prepared.frame.shape
    box = Box.of((width // 2, height // 4, width, height // 2))
    shown = np.asarray(picture(trace(prepared, ("At ", box)), prepared, question(2), CONTRACT))[:, :600].astype(int)
    rows, columns = np.nonzero(np.abs(shown - (0xFF, 0xB0, 0x20)).max(axis=2) <= 2)
    wide, high = proportions(prepared, SIDE)
    left = MARGIN + (SIDE - wide) // 2
    found = columns.min() - left, rows.min() - MARGIN, columns.max() + 1 - left, rows.max() + 1 - MARGIN
    assert found == pytest.approx((wide / 2, high / 4, wide, high / 2), abs=2)


def test_right_and_wrong_look_different():
    prepared = image()
    right, wrong = (
        np.asarray(picture(trace(prepared, answer=answer), prepared, question(2), CONTRACT))
        for answer in ("A. Yes", "B. No")
    )
    assert has("#4ade80", right)
    assert not has("#ff8f8f", right)
    assert has("#ff8f8f", wrong)


def test_long_text_makes_it_higher_and_never_wider():
    prepared = image()
    short = picture(trace(prepared), prepared, question(2), CONTRACT)
    long = picture(trace(prepared), prepared, question(2, text="Is it so? " * 200 + "x" * 400), CONTRACT)
    assert short.width == long.width == WIDTH
    assert long.height > short.height


def test_same_trace_same_bytes():
    prepared = study()
    said = trace(prepared, ("At ", blob(prepared)))
    files = []
    for _ in range(2):
        files.append(BytesIO())
        picture(said, prepared, question(), CONTRACT).save(files[-1], "PNG")
    assert files[0].getvalue() == files[1].getvalue()
