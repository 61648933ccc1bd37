"""The script for a GPU, on a small model here: both ways agree, every number is told, no GPU is said so."""

import json

import pytest
import torch

from components.bench import gpu_training
from components.bench.gpu_training import run
from components.bench.run import BenchConfig
from model.interface.errors import BadInput
from tests.components import world


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> BenchConfig:
    root = tmp_path_factory.mktemp("gpu")
    return BenchConfig(checkpoint=world.checkpoint(root / "base"), out=root / "out")


def test_the_script_runs_whole_on_a_small_model(config: BenchConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_training, "STUDIES", 1)
    monkeypatch.setattr(gpu_training, "STEPS", 1)
    tree = run(config, cpu=True)
    assert tree == json.loads((config.out / "gpu" / "tiny.json").read_text())
    assert len(tree["small"]["answers"]) == gpu_training.ANSWERS
    for stage in ("sft", "grpo"):
        found = tree["small"][stage]
        assert 0 < found["equal"]["relative_difference"] < 1e-4
        assert found["ours"]["tflops_needed"] < found["peer"]["tflops_needed"]
        assert found["ours"]["tokens_per_second"] > 0
        assert found["ours"]["mfu"] is None  # no peak of a CPU is known


def test_both_shapes_are_the_published_ones() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained("checkpoints/base")
    for name, parameters in (("3B", 3.75e9), ("7B", 8.29e9)):
        vlm = gpu_training.shape(name, tokenizer, torch.device("meta"))
        assert sum(p.numel() for p in vlm.parameters()) == pytest.approx(parameters, rel=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(config: BenchConfig) -> None:
    with pytest.raises(BadInput, match="needs a GPU") as error:
        run(config)
    assert "--cpu" in error.value.next


def test_an_unknown_shape_is_refused_with_those_there_are(config: BenchConfig) -> None:
    with pytest.raises(BadInput, match="no shape '5B'") as error:
        run(config, ["5B"], cpu=True)
    assert "3B, 7B" in error.value.next
