"""Sizes without weights: those of a folder, and those that are published."""

from pathlib import Path

import pytest

from components.training.profiles import QWEN_3B, QWEN_7B
from components.training.shapes import shape_of
from model.interface.errors import BadInput, TryAgain
from model.vlm import checkpoint as folders
from tests.components import world


def test_a_folders_size_is_that_of_its_weights(tmp_path: Path) -> None:
    folder = world.checkpoint(tmp_path / "base")
    vlm = folders.load(folder).vlm
    shape = shape_of(folder)
    assert shape.tower + shape.language == sum(p.numel() for p in vlm.parameters())
    assert shape.tower == sum(p.numel() for p in vlm.model.visual.parameters())
    assert len(shape.linear) == 7 * world.SIZE.layers
    assert shape.contract == world.CONTRACT


@pytest.mark.parametrize(("name", "size"), [(QWEN_3B, 3_754_622_976), (QWEN_7B, 8_292_166_656)])
def test_the_published_sizes_are_the_hubs(name: str, size: int) -> None:
    """Parameters as the safetensors index of each says on the hub; no network is asked."""
    shape = shape_of(Path(name))
    assert shape.tower + shape.language == size
    assert (shape.contract.volume_side, shape.contract.slices, shape.contract.factor) == (252, 32, 28)


def test_another_name_is_not_guessed() -> None:
    with pytest.raises((TryAgain, BadInput)):
        shape_of(Path("Qwen/Qwen2.5-VL-99B-Instruct"))
