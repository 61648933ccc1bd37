from dataclasses import replace

from components.evaluation import report
from components.evaluation.intervals import resample
from components.evaluation.metrics import METRICS, Scored
from components.evaluation.report import IN_FULL, IN_SHORT

EMPTY = dict.fromkeys(METRICS, (0.0, 0.0))


def row(i: int, right: bool, dimension: int = 3, family: str = "lesion analysis") -> Scored:
    counts = EMPTY | {"accuracy": (float(right), 1.0)}
    slices = dict.fromkeys(IN_FULL + IN_SHORT, "some") | {"family": family, "contrast": "T1"}
    return Scored(f"q{i}", f"head{i}", dimension, slices, counts, confidence=0.9)


ROWS = [row(i, i % 4 > 0) for i in range(20)] + [row(i, False, 2, "size comparison") for i in range(20, 30)]
SAMPLES = resample([r.group for r in ROWS], 300, 0)


def test_dimensions_and_slices_do_not_mix() -> None:
    tree = report.by_dimension(ROWS, {}, SAMPLES)
    assert tree["3d"]["accuracy"]["value"] == 0.75
    assert tree["2d"]["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 10}  # of ten heads
    assert set(tree["3d"]["by_family"]) == {"lesion analysis"}
    assert tree["3d"]["by_contrast"]["T1"]["accuracy"]["n"] == 20


def test_a_metric_that_says_nothing_is_left_out() -> None:
    assert "z_overlap" not in report.by_dimension(ROWS, {}, SAMPLES)["3d"]


def test_baselines_stand_beside_accuracy() -> None:
    tree = report.by_dimension(ROWS, {"baseline_blank": [(0.0, 1.0)] * 30}, SAMPLES)
    assert tree["3d"]["baseline_blank"] == {"value": 0.0, "low": 0.0, "high": 0.0, "n": 20}
    assert tree["3d"]["by_family"]["lesion analysis"]["baseline_blank"]["n"] == 20


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    better = [replace(r, counts=EMPTY | {"accuracy": (1.0, 1.0)}) if i < 5 else r for i, r in enumerate(ROWS)]
    gain = report.difference(better, ROWS, SAMPLES)["3d"]["accuracy"]
    assert gain["value"] == 0.1
    alone = report.by_dimension(ROWS, {}, SAMPLES)["3d"]["accuracy"]
    assert gain["high"] - gain["low"] < alone["high"] - alone["low"]
    assert report.difference(ROWS, ROWS, SAMPLES)["3d"]["accuracy"]["high"] == 0


def test_flat_names_are_paths_to_headline_numbers() -> None:
    tree = {"rl": {"test": report.by_dimension(ROWS, {}, SAMPLES)}, "digests": {"data": "abc"}}
    flat = report.flat(tree)
    assert flat["rl/test/3d/accuracy"] == 0.75
    assert flat["rl/test/3d/accuracy/low"] < 0.75 < flat["rl/test/3d/accuracy/high"]
    assert not any("by_family" in name or "digests" in name for name in flat)


def test_the_table_has_a_column_a_checkpoint_and_dimension() -> None:
    tree = {name: {"test": report.by_dimension(ROWS, {}, SAMPLES)} for name in ("sft", "rl")}
    lines = report.table(tree).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[2:-1]] == ["sft 2D", "rl 2D", "sft 3D", "rl 3D"]
    assert len({len(line) for line in lines}) == 1
    assert "0.75 [" in lines[2]


def test_the_further_slices_are_short_and_every_number_has_its_n() -> None:
    tree = report.by_dimension(ROWS, {"baseline_blank": [(0.0, 1.0)] * 30}, SAMPLES)["3d"]
    assert set(report.SLICES) <= set(tree)
    assert set(tree["by_anatomy"]["some"]) == {"accuracy", "baseline_blank"}
    assert tree["by_subject"]["some"]["accuracy"]["n"] == 20


def test_selective_numbers_are_of_one_dimension() -> None:
    told = report.by_dimension(ROWS, {}, SAMPLES)["3d"]["selective"]
    assert told["n"] == 20
    assert told["risk_at_coverage"]["1"] == 0.25
    assert told["calibration_error"] == 0.15  # said .9, right .75
    silent = [replace(one, confidence=None) if k < 4 else one for k, one in enumerate(ROWS)]
    assert report.by_dimension(silent, {}, SAMPLES)["3d"]["selective"]["n"] == 16


def test_a_difference_is_of_what_both_have() -> None:
    """A Brier score is missing where an answer has no confidence: such a question is no gain of the other."""
    ours = [replace(one, counts=one.counts | {"brier": (0.4, 1.0)}) for one in ROWS]
    theirs = [ours[0], replace(ours[1], counts=EMPTY), *ours[2:]]
    for pair in ((ours, theirs), (theirs, ours)):
        found = report.difference(*pair, SAMPLES)["3d"]["brier"]
        assert (found["value"], found["n"]) == (0, 19)
