"""A plain Trainer and our rows: the same samples, the same gradient, and who runs what how often."""

from pathlib import Path

import pytest
import torch

from components.bench import tuning
from components.training.examples import example
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from tests.components import world


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return folders.load(world.checkpoint(tmp_path_factory.mktemp("tuning") / "base"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "DATA", world.data(tmp_path / "data"))
    monkeypatch.setattr(tuning, "BATCH", 3)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("order", ["random", "length-sorted"])
def test_trainer_and_rows_have_one_gradient(
    checkpoint: Checkpoint, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "studies", lambda checkpoint: studies(checkpoint, 8))
    comparison = tuning._compared(checkpoint, order)
    ours, peer = comparison.ours(), comparison.peer()
    assert comparison.n == 8 * tuning.EPOCHS
    assert ours.abs().max() > 1e-3
    assert torch.allclose(ours, peer, atol=1e-5)


studies = tuning.studies


@pytest.mark.usefixtures("small")
def test_no_more_questions_than_wanted_are_taken_and_each_shows_its_own_crops(checkpoint: Checkpoint) -> None:
    cases = tuning.studies(checkpoint, 5)
    assert sum(len(case.questions) for case in cases) == 5
    for case in cases:
        laid = example(case, checkpoint)
        sample = tuning.sample_of(case, laid, 0, checkpoint.contract)
        assert len(sample.pictures) == len(laid.pictures) + len(laid.crops[0]) > len(laid.pictures)
        batch = tuning.collated([sample], checkpoint.contract)
        assert int(batch["mm_token_type_ids"].sum()) * checkpoint.contract.merge**2 == len(batch["pixel_values"])
        assert int((batch["labels"] != -100).sum()) == sum(laid.branches[0].trained)


def test_without_data_the_bench_says_what_to_do(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "DATA", tmp_path)
    with pytest.raises(BadInput, match="no data to fine-tune on") as error:
        tuning.sft_samples(checkpoint)
    assert "dvc repro data" in error.value.next
