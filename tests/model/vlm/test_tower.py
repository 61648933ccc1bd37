import numpy as np
import pytest
import torch
from transformers import Qwen2VLImageProcessorPil

from model.vlm import tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.tower import MEAN, STD, channels, encode, grid_of, merge, patchify, whole_picture_pass
from tests.model.vlm.conftest import SMALL


def pictures(n: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, height, width), dtype=np.uint8)


@pytest.mark.parametrize("place", ["place", "grey"])
@pytest.mark.parametrize("size", [(16, 16), (32, 48), (48, 16)])
def test_patches_are_those_of_the_image_processor(size: tuple[int, int], place: str) -> None:
    shown, contract = pictures(1, *size), SMALL.model_copy(update={"channels": place})
    processor = Qwen2VLImageProcessorPil(
        patch_size=SMALL.patch, merge_size=SMALL.merge, image_mean=[MEAN] * 3, image_std=[STD] * 3, do_resize=False
    )
    rgb = channels(shown, contract)[0].transpose(1, 2, 0)
    out = processor(images=[rgb], return_tensors="pt")
    assert out["image_grid_thw"].tolist() == [[1, size[0] // SMALL.patch, size[1] // SMALL.patch]]
    assert torch.allclose(patchify(shown, contract)[0], out["pixel_values"], atol=1e-6)


def test_green_and_blue_say_where_a_pixel_is_or_repeat_the_grey() -> None:
    shown = pictures(2, 32, 48)
    grey, column, row = channels(shown, SMALL).transpose(1, 0, 2, 3)
    assert (grey == shown).all()
    assert (column == column[:1, :1]).all()
    assert (np.diff(column[0, 0].astype(int)) > 0).all()
    assert (row == row[:1, :, :1]).all()
    assert (np.diff(row[0, :, 0].astype(int)) > 0).all()
    assert (row[0, 0, 0], row[0, -1, 0], column[0, 0, 0], column[0, 0, -1]) == (0, 255, 0, 255)
    same = channels(shown, SMALL.model_copy(update={"channels": "grey"}))
    assert (same == shown[:, None]).all()


@pytest.mark.parametrize("size", [(32, 32), (32, 48)])
def test_equal_pictures_together_equal_transformers_own_tower(size: tuple[int, int], checkpoint: Checkpoint) -> None:
    shown, visual = pictures(3, *size), checkpoint.vlm.model.visual
    rows, columns = size[0] // SMALL.patch, size[1] // SMALL.patch
    patches = patchify(shown, SMALL)
    with torch.no_grad():
        ours = merge(visual, whole_picture_pass(visual, patches, rows, columns, SMALL.merge))
        theirs = visual(patches.flatten(0, 1), grid_thw=torch.tensor([[1, rows, columns]] * 3)).pooler_output
    assert torch.allclose(ours.flatten(0, 1), theirs, atol=1e-5)


@pytest.fixture
def windowed(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    """The tower with windows of two tokens a side in its first block, as a real Qwen2.5-VL has them in most."""
    visual = checkpoint.vlm.model.visual
    monkeypatch.setattr(visual, "fullatt_block_indexes", [1])
    monkeypatch.setattr(visual, "window_size", 2 * SMALL.factor)
    return visual


@pytest.mark.parametrize("size", [(16, 16), (32, 32), (48, 48), (80, 48), (16, 48)])
def test_windows_of_a_length_together_equal_transformers_one_by_one(size: tuple[int, int], windowed) -> None:
    """Pictures that windows fill, that leave a rest on either side or on both, and that are smaller than a window."""
    shown = pictures(3, *size)
    rows, columns = size[0] // SMALL.patch, size[1] // SMALL.patch
    with torch.no_grad():
        found = encode(windowed, list(shown), SMALL)
        patches = patchify(shown, SMALL)
        theirs = windowed(patches.flatten(0, 1), grid_thw=torch.tensor([[1, rows, columns]] * 3)).pooler_output
        windowed.fullatt_block_indexes = [0, 1]
        whole = encode(windowed, list(shown), SMALL)
    assert torch.allclose(torch.cat(found), theirs, atol=1e-5)
    assert torch.allclose(found[0], whole[0], atol=1e-3) == (max(size) <= 2 * SMALL.factor)


def test_windows_are_few_calls(windowed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lengths of windows in one block, whole pictures in the other, however many pictures."""
    calls = []

    def counted(q, k, v):
        calls.append(tuple(q.shape[:3]))
        return torch.zeros_like(q)

    monkeypatch.setattr(tower, "scaled_dot_product_attention", counted)
    with torch.no_grad():
        encode(windowed, list(pictures(5, 48, 48)), SMALL)
    unit, heads = SMALL.merge**2, windowed.config.num_heads
    assert calls == [(5, heads, 4 * unit), (10, heads, 2 * unit), (5, heads, unit), (5, heads, 9 * unit)]


def test_another_kernel_is_left_to_transformers(windowed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tower, "whole_picture_pass", lambda *_: pytest.fail("SDPA was not asked for"))
    shown = list(pictures(2, 48, 48))
    monkeypatch.setattr(windowed.config, "_attn_implementation", "eager")
    with torch.no_grad():
        assert len(encode(windowed, shown, SMALL)) == 2


def test_mixed_sizes_come_back_in_the_order_given(checkpoint: Checkpoint) -> None:
    shown = [pictures(1, 32, 32)[0], pictures(2, 16, 32)[0], pictures(3, 32, 32)[2]]
    with torch.no_grad():
        together = encode(checkpoint.vlm.model.visual, shown, SMALL)
        for tokens, picture in zip(together, shown, strict=True):
            (alone,) = encode(checkpoint.vlm.model.visual, [picture], SMALL)
            assert len(tokens) == np.prod(grid_of(picture.shape, SMALL))
            assert torch.allclose(tokens, alone, atol=1e-5)


def test_a_picture_of_broken_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="20x32 px: sides must be multiples of 16"):
        patchify(pictures(1, 20, 32), SMALL)
