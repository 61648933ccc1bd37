"""Attention over a shared prefix against attention over copies of it."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from model.vlm import sharing
from model.vlm.sharing import Shared, attend

HEADS, KV, D = 4, 2, 8


def layers(tokens: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    made = torch.randn(2, KV, tokens, D, generator=torch.Generator().manual_seed(seed))
    return [(made[0], made[1])]


@given(
    study_of=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    new=st.integers(1, 6),
    at_once=st.sampled_from([1, 200, 1 << 24]),
    begun=st.integers(0, 3),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_shared_equals_copied(study_of: list[int], new: int, begun: int, at_once: int, data: st.DataObject) -> None:
    """Any seating of rows over studies, prefixes of unlike length, rows that began before, rows let go or repeated."""
    lengths = [5, 7, 3]
    memory = Shared(
        [layers(n, i) for i, n in enumerate(lengths)],
        study_of,
        [layers(begun, 9 + r) if begun else [] for r in range(len(study_of))],
    )
    rows = data.draw(st.lists(st.sampled_from(range(len(study_of))), min_size=1))
    memory.keep(rows)
    random = torch.Generator().manual_seed(1)
    query = torch.randn(len(rows), HEADS, new, D, generator=random)
    key, value = torch.randn(2, len(rows), KV, new, D, generator=random)
    split = memory.update(key, value, 0)
    real = torch.arange(memory.columns) < torch.tensor([lengths[study_of[r]] for r in rows])[:, None]
    mask = torch.cat(
        [real[:, None].expand(-1, new, -1), torch.ones(len(rows), new, begun + new, dtype=torch.bool).tril(begun)], -1
    )[:, None]
    module = SimpleNamespace(num_key_value_groups=HEADS // KV, is_causal=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "AT_ONCE", at_once)
        found, _ = attend(module, query, *split, mask, scaling=D**-0.5, dropout=0.0)
    whole = (torch.cat([part.shared[memory.study_of], part.own], 2).repeat_interleave(HEADS // KV, 1) for part in split)
    expected = scaled_dot_product_attention(query, *whole, attn_mask=mask).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-5)


def test_the_prefix_of_a_single_study_is_not_copied() -> None:
    prefix = layers(6, 0)
    memory = Shared([prefix], [0] * 5, [[]] * 5)
    assert memory.prefix_of[0][0].data_ptr() == prefix[0][0].data_ptr()
    memory.keep([1, 3])
    assert memory.prefix_of[0][0].data_ptr() == prefix[0][0].data_ptr()
    assert memory.used == memory.columns == 6


@pytest.mark.parametrize("new", [1, 5])
def test_plain_tensors_are_attended_as_transformers_does(new: int) -> None:
    query, key, value = torch.randn(3, 2, HEADS, new, D)
    module = SimpleNamespace(num_key_value_groups=1, is_causal=True)
    found, _ = attend(module, query, key, value, None, scaling=D**-0.5, dropout=0.0)
    expected = scaled_dot_product_attention(query, key, value, is_causal=new > 1).transpose(1, 2)
    assert torch.allclose(found, expected, atol=1e-6)
