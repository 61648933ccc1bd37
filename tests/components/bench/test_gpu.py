"""The script runs small on the CPU, refuses without a GPU, and its bound is what is read."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from components.bench import gpu
from components.bench.run import BenchConfig
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from tests.components import world


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.checkpoint(tmp_path_factory.mktemp("gpu") / "base")


def test_every_row_count_is_measured_both_ways(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ROWS", (1, 3))
    figure = gpu.run(BenchConfig(checkpoint=folder, out=tmp_path), cpu=True)
    assert [row["rows"] for row in figure["rows"]] == [1, 3]
    assert all(row["max_abs_diff"] < 1e-4 for row in figure["rows"])
    assert all(row["tokens_per_second"] > 0 and row["growing_ms_per_step"] > 0 for row in figure["rows"])
    assert figure["rows"][1]["bytes_per_step"] > figure["rows"][0]["bytes_per_step"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device")
def test_without_a_device_it_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="need a CUDA device") as told:
        gpu.run(BenchConfig(checkpoint=folder))
    assert "--cpu" in told.value.next


def test_a_step_reads_weights_once_and_each_row_of_its_own(folder: Path) -> None:
    large = gpu.model_on(torch.device("cpu"), folders.load(folder), small=True)
    one, two = (gpu.step_bytes(large, 100, rows, 10) for rows in (1, 2))
    token = 2 * 2 * 1 * 24 * 4  # keys and values, layers, kv heads, d, bytes
    assert two - one == gpu.fixed.WINDOW * token
    layers = sum(p.nbytes for p in large.vlm.model.language_model.parameters())  # the head is the embedding's
    assert one == layers + (100 + gpu.fixed.WINDOW) * token


def test_peaks_are_of_data_sheets_or_of_the_driver() -> None:
    assert gpu.bytes_a_second(SimpleNamespace(name="NVIDIA H100 80GB HBM3")) == 3.35e12
    assert gpu.bytes_a_second(SimpleNamespace(name="NVIDIA H100 PCIe")) == 2e12
    own = SimpleNamespace(name="Other", memory_clock_rate=1_000_000, memory_bus_width=4096)
    assert gpu.bytes_a_second(own) == 1.024e12
    with pytest.raises(BadInput, match="nobody knows"):
        gpu.bytes_a_second(SimpleNamespace(name="Other"))
