"""Gradient checkpointing of the language model: activations are made again in the backward pass instead of kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointing(vlm: Any, on: bool = True) -> Iterator[None]:
    """Forward passes inside keep only what goes from layer to layer; their backward may come after it.

    transformers' layers do this while they are in training mode, and drop their memory of earlier tokens when they do,
    with no more than a warning. Here it holds for these passes alone, so that rollouts go on unharmed, and in eval
    mode too: only the layers' own flag is set, nothing inside them drops out. No hook makes the embeddings require a
    gradient, as transformers' own switch would, so the frozen tower stays outside the graph.
    """
    layers = list(vlm.model.language_model.layers) if on else []
    before = [(layer.training, layer.gradient_checkpointing) for layer in layers]
    for layer in layers:
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        layer.training = layer.gradient_checkpointing = True
    try:
        yield
    finally:
        for layer, (training, checkpointed) in zip(layers, before, strict=True):
            layer.training, layer.gradient_checkpointing = training, checkpointed
