"""What a step costs, counted against a count of torch's own."""

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from components.training.examples import examples
from components.training.meter import PEAK, Meter, peak_of
from components.training.sft import SftConfig
from components.training.strategies import open_base, tuned
from model.learning.losses import target_logprobs
from model.learning.packing import pack
from model.vlm.checkpoint import Checkpoint
from tests.components import world


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SftConfig:
    root = tmp_path_factory.mktemp("meter")
    return SftConfig(base=world.checkpoint(root / "base"), data=world.data(root / "data"))


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_the_arithmetic_is_what_torch_counts(small: SftConfig, tune: str) -> None:
    """But for attention, which torch's counter leaves out on a CPU. Under LoRA the first layer has no way back."""
    config = small.model_copy(update={"tune": tune})
    checkpoint: Checkpoint = open_base(config.base, config)
    tuned(checkpoint, config)
    meter = Meter(checkpoint.vlm)
    _, mine = examples(config.data, "train", checkpoint)
    rows = [mine[0].row([0])]
    meter.count(rows)
    with FlopCounterMode(display=False) as counter:
        target_logprobs(checkpoint.vlm, pack(rows, multiple=1), checkpoint.vocabulary).sum().backward()
    assert meter.flops() - 3 * meter.attended() == pytest.approx(
        counter.get_total_flops(), rel=0.05 if tune == "full" else 0.12
    )


def test_weights_kept_in_4_bits_count_by_their_layers_shape(small: SftConfig) -> None:
    """As bitsandbytes packs them: uint8, two in a byte, in a subclass of Linear."""
    checkpoint = open_base(small.base, small)
    checkpoint.vlm.requires_grad_(False)
    whole = Meter(checkpoint.vlm)
    for part in checkpoint.vlm.model.language_model.layers.modules():
        if isinstance(part, torch.nn.Linear):
            packed = torch.zeros(part.weight.numel() // 2, 1, dtype=torch.uint8)
            part.weight = torch.nn.Parameter(packed, requires_grad=False)
    assert Meter(checkpoint.vlm).each == whole.each > 0


def test_a_steps_seconds_are_split_and_counting_starts_anew(small: SftConfig) -> None:
    checkpoint = open_base(small.base, small)
    meter = Meter(checkpoint.vlm)
    _, mine = examples(small.data, "train", checkpoint)
    meter.figures()
    for phase, seconds in (("data", 0.02), ("update", 0.05), ("data", 0.02)):
        with meter(phase):
            time.sleep(seconds)
    meter.count([mine[0].row([0]), mine[1].row([0])])
    found = meter.figures()
    assert found["speed/seconds_data"] == pytest.approx(0.04, abs=0.03)
    assert found["speed/seconds"] >= found["speed/seconds_data"] + found["speed/seconds_update"] >= 0.09
    assert found["speed/rows_per_s"] == pytest.approx(2 / found["speed/seconds"])
    tokens = len(mine[0].row([0])) + len(mine[1].row([0]))
    assert found["speed/tokens_per_s"] == pytest.approx(tokens / found["speed/seconds"])
    assert 0.05 < found["speed/memory_gb"] < 100
    assert "speed/mfu" not in found  # nobody says what a CPU could do
    assert meter.figures()["speed/tokens_per_s"] == 0


def test_the_peak_is_read_off_the_devices_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak_of(torch.device("cpu")) is None
    for name, peak in (("NVIDIA H200", PEAK["H200"]), ("NVIDIA H20", PEAK["H20"]), ("Another", None)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert peak_of(torch.device("cuda")) == peak
