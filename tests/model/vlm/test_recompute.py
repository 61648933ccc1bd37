"""Checkpointing keeps less, says the same, and harms neither rollouts nor the frozen tower."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model.imaging.prepare import Prepared
from model.learning.losses import target_logprobs
from model.learning.packing import pack
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.recompute import checkpointing
from model.vlm.regions import features_of
from tests.model.learning.made import rows
from tests.model.vlm.conftest import SMALL


@contextmanager
def counting(bytes_kept: list[int]) -> Iterator[None]:
    with torch.autograd.graph.saved_tensors_hooks(lambda t: bytes_kept.append(t.nbytes) or t, lambda t: t):
        yield


def test_activations_are_not_kept_but_made_again(checkpoint: Checkpoint) -> None:
    vlm, packed = copy.deepcopy(checkpoint.vlm), pack([rows(checkpoint, 1, 3)])
    passes: list[int] = []
    vlm.model.language_model.layers[0].mlp.register_forward_pre_hook(lambda *_: passes.append(1))
    kept: dict[bool, list[int]] = {False: [], True: []}
    for on, some in kept.items():
        passes.clear()
        with checkpointing(vlm, on), counting(some):
            logprobs = target_logprobs(vlm, packed, checkpoint.vocabulary)
        logprobs.sum().backward()
        assert len(passes) == 1 + on
    assert sum(kept[True]) < 0.7 * sum(kept[False])


def test_it_ends_with_the_passes_inside(checkpoint: Checkpoint) -> None:
    vlm = copy.deepcopy(checkpoint.vlm).train()
    vlm.model.language_model.layers[1].training = False
    layers = vlm.model.language_model.layers
    before = [(layer.training, layer.gradient_checkpointing) for layer in layers]
    with checkpointing(vlm):
        assert all(layer.gradient_checkpointing for layer in layers)
        assert all(layer.self_attn.training for layer in layers)  # what is inside keeps its own mode
    assert [(layer.training, layer.gradient_checkpointing) for layer in layers] == before


def test_the_frozen_tower_builds_no_graph(checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """With checkpointing on, and even where somebody made its inputs require a gradient."""
    vlm = copy.deepcopy(checkpoint.vlm)
    vlm.enable_input_require_grads()
    freeze_tower(vlm)
    kept: list[int] = []
    with checkpointing(vlm), counting(kept):
        features = features_of(vlm, list(cuboid.slices), SMALL)
    assert not any(f.requires_grad for f in features)
    assert not kept
    row = rows(checkpoint, 1, 2)
    with checkpointing(vlm):
        target_logprobs(vlm, pack([row]), checkpoint.vocabulary).sum().backward()
    assert all(p.grad is None for p in vlm.model.visual.parameters())
    assert all(f.grad is None for f in row.features)
