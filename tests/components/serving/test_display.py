import numpy as np
import pytest

from components.serving.display import displayed, proportions, telling_slice
from model.interface.boxes import Box
from tests.components.serving.told import blob, study
from tests.model.imaging.phantom import head, slice_of


@pytest.mark.parametrize(("plane", "mm"), [("axial", (39, 34)), ("coronal", (39, 36)), ("sagittal", (34, 36))])
def test_a_slice_is_shown_in_the_proportions_of_the_body(plane, mm):
    width, height = proportions(study(slice_of(head(), plane, 9)), 400)
    assert max(width, height) == 400
    assert width / height == pytest.approx(mm[0] / mm[1], rel=0.01)


def test_what_is_displayed_lies_under_the_models_numbers():
    prepared = study()
    box = blob(prepared)
    picture = displayed(prepared, int(box.centre[2]), 300)
    rows, columns = np.nonzero(picture > 200)
    height, width = picture.shape
    x, y = columns.mean() / width * prepared.frame.shape[0], rows.mean() / height * prepared.frame.shape[1]
    assert box.low[0] <= x < box.high[0]
    assert box.low[1] <= y < box.high[1]


def test_the_slice_shown_first_is_the_one_with_most_boxes():
    prepared = study()
    boxes = (Box.of((0, 0, 4, 5, 5, 9)), Box.of((0, 0, 8, 5, 5, 12)), Box.of((0, 0, 25, 5, 5, 30)))
    assert telling_slice(prepared, boxes) == 8
    assert telling_slice(prepared, ()) == 16
