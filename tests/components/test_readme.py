import json
from pathlib import Path

import pytest

from components.readme import NOTHING, ReadmeConfig, filled, run
from model.interface.errors import BadInput, Failure

PAGE = (
    "# A\n\n<!-- results -->\n<!-- /results -->\n\nwords\n\n<!-- ablations -->\n<!-- /ablations -->\n\n"
    "<!-- bench -->\nold\n<!-- /bench -->\n\nmore words\n"
)


def interval(value: float, *, known: bool = True) -> dict[str, float | int | None]:
    return {"value": value, "low": value - 0.1 if known else None, "high": value + 0.1 if known else None, "n": 30}


@pytest.fixture
def config(tmp_path: Path) -> ReadmeConfig:
    (tmp_path / "README.md").write_text(PAGE)
    return ReadmeConfig(readme=tmp_path / "README.md", results=tmp_path / "results")


def measured(results: Path, accuracy: float) -> None:
    scores = {"accuracy": interval(accuracy), "baseline_blank": interval(0.3)}
    tree = {
        "digests": {"data": "d" * 64, "checkpoints": {"sft": "a" * 64, "rl": "b" * 64}},
        "sft": {"test": {"2d": {"accuracy": interval(0.111)}}},
        "rl": {"test": {"2d": scores}, "real": {"2d": {"accuracy": interval(0.5, known=False)}}},
        "difference": {"rl - sft": {"test": {"2d": {"accuracy": interval(0.04)}}}},
    }
    (results / "evaluate").mkdir(parents=True, exist_ok=True)
    (results / "evaluate/metrics.json").write_text(json.dumps(tree))


def test_without_results_the_page_says_so_and_is_not_stale(config: ReadmeConfig) -> None:
    run(config)
    assert config.readme.read_text().count(NOTHING) == 3
    run(config, check=True)


def test_new_numbers_make_the_page_stale_until_it_is_rendered(config: ReadmeConfig) -> None:
    measured(config.results, 0.71)
    with pytest.raises(Failure, match="not what results/ says"):
        run(config, check=True)
    assert config.readme.read_text() == PAGE
    run(config)
    run(config, check=True)
    measured(config.results, 0.72)
    with pytest.raises(Failure):
        run(config, check=True)


def test_the_table_tells_the_last_checkpoint_beside_its_baselines(config: ReadmeConfig) -> None:
    measured(config.results, 0.71)
    run(config)
    page = config.readme.read_text()
    assert "| accuracy | 0.71 [0.61, 0.81] | 0.50 |" in page
    assert "| … the same checkpoint on a blank picture | 0.30 [0.20, 0.40] | – |" in page
    assert "| accuracy, rl - sft | +0.04 [-0.06, +0.14] | – |" in page
    assert "`rl` bbbbbbbbbbbb, data dddddddddddd" in page
    assert "0.11" not in page


def test_a_claim_is_a_row_and_bold_only_where_it_holds(config: ReadmeConfig) -> None:
    shared = {"claim": "crops help", "seeds": 5, "n": 340, "data": "d" * 64}
    accuracy = {"metric": "accuracy", "within": None, "difference": 0.04, "low": 0.01, "high": 0.07}
    kept = {"metric": "box_iou", "within": 0.02, "difference": -0.001, "low": -0.01, "high": 0.01}
    claims = [
        {**shared, **accuracy, "dimension": "2d", "verdict": "better"},
        {**shared, **accuracy, "dimension": "3d", "verdict": "unsure"},
        {**shared, **kept, "dimension": "3d", "verdict": "kept"},
    ]
    (config.results / "ablation").mkdir(parents=True)
    (config.results / "ablation/claims.json").write_text(json.dumps(claims))
    run(config)
    page = config.readme.read_text()
    assert (
        "| crops help | accuracy | +0.040 [+0.010, +0.070] **better** | 340 | +0.040 [+0.010, +0.070] | 340 |\n" in page
    )
    assert "| crops help | IoU of boxes, within 0.02 | – | – | -0.001 [-0.010, +0.010] **kept** | 340 |\n" in page
    assert "Differences of 5 seeds each, data dddddddddddd." in page
    assert "over all 3." in page


def test_a_bench_figure_is_a_row_with_its_proof(config: ReadmeConfig) -> None:
    figure = {"figure": "decode_x", "ratio": 3.46, "ours": {"seconds": 0.5}, "peer": {"seconds": 1.73}}
    figure |= {"peer_is": "slower", "equal": {"max_abs_diff": 4e-6}, "machine": "abacus"}
    (config.results / "bench").mkdir(parents=True)
    (config.results / "bench/decode_x.json").write_text(json.dumps(figure))
    run(config)
    assert "| `decode_x` | 3.5 × | 0.50 / 1.73 | 4e-06 | slower |" in config.readme.read_text()
    assert "\nabacus.\n" in config.readme.read_text()


def test_nothing_but_what_stands_between_the_markers_changes() -> None:
    page = filled(PAGE, {"results": "new\n", "bench": "newer\n"})
    assert page == PAGE.replace("<!-- results -->\n", "<!-- results -->\nnew\n").replace("old", "newer")
    with pytest.raises(BadInput, match="no place for the table 'bench'"):
        filled(PAGE.replace("<!-- /bench -->", ""), {"bench": "new\n"})
