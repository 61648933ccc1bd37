"""The whole loop, for real and small: DVC, Prefect's own server, MLflow, the real evaluation of a random model."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from components import environment, tracking
from components.evaluation.config import EvaluateConfig
from components.registry import versions
from components.registry.gate import Check, GateConfig, Verdict
from components.registry.promotion import promote
from flows import demo, record
from model.imaging.reading.declared import Declared
from model.interface.errors import BadInput, Failure, Integrity, TryAgain
from tests.flows import repo


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    environment.home()
    return repo.make(tmp_path_factory.mktemp("clone"))


@pytest.fixture(autouse=True)
def inside(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PYTHONPATH", str(repo.ROOT))


@pytest.fixture(scope="module")
def outcomes(clone: Path) -> list:
    """Two runs of the flow; between them somebody promotes the refused version by hand."""
    from flows.retrain import retrain

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        patch.setenv("PYTHONPATH", str(repo.ROOT))
        first = retrain()
        promote(first.candidate.version, expect=None)
        return [first, retrain()]


def test_a_rolled_back_version_is_refused_when_it_comes_again(outcomes: list, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = outcomes
    monkeypatch.setattr(record, "was_rolled_back", lambda version: version == first.candidate.version)
    monkeypatch.setattr(record, "judge", lambda *_: Verdict((Check("all", True, "good"),)))
    again = record.enter(EvaluateConfig(), GateConfig(), first.candidate.run)
    assert again.verdict.reasons == (
        f"not rolled back: version {again.version} was, `urm promote {again.version}` puts it back",
    )
    assert record.promote_if_passed(again) is None


def test_the_first_run_makes_everything_and_the_second_nothing(outcomes: list) -> None:
    first, second = outcomes
    assert first.stages == dict.fromkeys(("data", "sft", "rl", "evaluate", "confidence", "consistency"), "ran")
    assert set(second.stages.values()) == {"up to date"}


def test_a_model_that_sees_nothing_is_registered_and_refused(outcomes: list) -> None:
    first, _ = outcomes
    assert first.change is None
    assert any("accuracy above baseline_majority" in reason for reason in first.candidate.verdict.reasons)
    tags = tracking.version_tags(versions.MODEL, first.candidate.version)
    assert tags["gate"] == "refused"
    assert tags[tracking.CKPT_MD5] == record.outs(record.LOCK)["checkpoints/rl"]


def test_recording_again_changes_nothing(outcomes: list) -> None:
    first, second = outcomes
    assert (second.candidate.run, second.candidate.version) == (first.candidate.run, first.candidate.version)
    assert versions.aliases() == {"champion": first.candidate.version, "challenger": first.candidate.version}


def test_what_other_stages_found_out_is_logged_with_the_evaluation(outcomes: list) -> None:
    with tracking._store() as client:
        kept = {file.path for file in client.list_artifacts(outcomes[0].candidate.run)}
        tags = client.get_run(outcomes[0].candidate.run).data.tags
    assert {"metrics.json", "table.md", "calibration.json"} <= kept
    assert tags["dvc.results/consistency/metrics.json"]
    assert json.loads(Path("results/confidence/metrics.json").read_text())["boxes"]["fit"] == 0


def test_drift_is_looked_for_with_and_without_a_champion(outcomes: list) -> None:
    for outcome in outcomes:
        found = [(verdict.window, verdict.status) for verdict in outcome.drift]
        assert found == [("steady", "INSUFFICIENT"), ("shifted", "INSUFFICIENT")]


def test_prefect_keeps_the_table_the_gate_and_the_windows(outcomes: list) -> None:
    from prefect import get_client

    async def keys() -> set[str | None]:
        async with get_client() as client:
            return {artifact.key for artifact in await client.read_artifacts()}

    assert asyncio.run(keys()) >= {"results", "gate", "drift", "mlflow-run"}


def test_a_page_of_one_answer_is_written(outcomes: list) -> None:
    from components.evaluation.config import EvaluateConfig

    page = demo.write_example(EvaluateConfig())
    assert page.is_file()
    assert "Is there a blob?" in page.read_text()


def test_an_answer_of_the_evaluation_is_found_again_and_drawn(outcomes: list, tmp_path: Path) -> None:
    from PIL import Image

    from flows.asking import recall

    asked = recall("q-test-0-3d", None, Declared(), "champion")
    assert (asked.question.id, asked.prepared.dimension) == ("q-test-0-3d", 3)
    with Image.open(asked.write_picture(tmp_path / "answer.png")) as drawn:
        assert drawn.format == "PNG"
        assert len(drawn.convert("L").getcolors(256) or []) > 8
    assert [file.name for file in tmp_path.iterdir()] == ["answer.png"]


def test_only_what_may_work_later_is_tried_again(clone: Path) -> None:
    from prefect import flow

    from flows.retrain import step

    calls: list[str] = []

    def fail(kind: type[Failure]) -> None:
        calls.append(kind.__name__)
        raise kind("no", where="here", next="wait")

    @flow(name="tries")
    def tries() -> None:
        for kind in (BadInput, TryAgain):
            with pytest.raises(kind):
                step(fail, retries=1)(kind)

    tries()
    assert calls == ["BadInput", "TryAgain", "TryAgain"]


def test_a_file_that_is_no_answer_or_is_about_another_image_is_told(outcomes: list, tmp_path: Path) -> None:
    from flows.asking import recall

    scan = tmp_path / "scan.npy"
    np.save(scan, np.arange(40 * 32, dtype=np.float32).reshape(40, 32))
    for text in ("", "[]", '{"question": {}}', '{"question": 3, "trace": 4}'):
        (tmp_path / "answer.json").write_text(text)
        with pytest.raises(BadInput, match=r"this is no answer|the file is empty|not JSON"):
            recall(str(tmp_path / "answer.json"), scan, Declared("MR"), "champion")
    kept = recall("q-test-0-3d", None, Declared(), "champion")
    (tmp_path / "answer.json").write_text(json.dumps(kept.to_json()))
    with pytest.raises(Integrity, match="not the image"):
        recall(str(tmp_path / "answer.json"), scan, Declared("MR"), "champion")
