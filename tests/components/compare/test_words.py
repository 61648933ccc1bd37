from components.compare.words import BETTER, better, chance, interval, measured, metric_words, signed
from components.evaluation.paired import Difference
from components.evaluation.report import COMPARED


def test_nothing_has_no_sign() -> None:
    assert [signed(n) for n in (0.1234, -0.1234, -0.0001, 0.0)] == ["+0.123", "-0.123", "0.000", "0.000"]


def test_an_interval_is_told_with_its_ends_where_it_has_any() -> None:
    assert interval(Difference(0.8, 0.75, 0.85, 0.1, 9, 5)) == "0.800 [0.750, 0.850]"
    assert interval(Difference(0.1, -0.1, 0.3, 0.1, 9, 5), with_sign=True) == "+0.100 [-0.100, +0.300]"
    assert interval(Difference(0.8, None, None, None, 9, 1)) == "0.800"
    assert interval(Difference(None, None, None, None, 0, 1)) == "–"


def test_chances_and_metrics_are_told_in_words() -> None:
    assert [chance(p) for p in (None, 0.0004, 0.04)] == ["–", "< 0.001", "0.040"]
    assert (metric_words("box_iou"), metric_words("tool_rate")) == ("IoU of boxes", "tool rate")
    assert measured("box_iou", "2d", None) == "IoU of boxes, 2D"
    assert measured("box_iou", "2d", 0.02) == "IoU of boxes, 2D, within 0.02"


def test_of_every_metric_it_is_known_which_way_is_better() -> None:
    """A new metric stands in neither list."""
    more = ["accuracy", "fine_accuracy", "sampled_accuracy", "open_exact", "open_f1", "answered", "valid_format"]
    more += ["box_iou", "hit_25", "hit_50", "localisation_iou", "lesion_iou", "z_overlap", "side_correct"]
    assert {*more, *BETTER} == set(COMPARED)
    assert [better(metric) for metric in more] == [1] * len(more)
    assert [metric for metric in BETTER if better(metric) == -1] == ["brier", "flaws"]
