"""FSDP2: each layer of the language model spread over the workers (`fully_shard`), gathered while it works.

    tower                    whole and frozen, outside: a worker without pictures waits for nobody
    embeddings, norm, head   whole: the head may be the embeddings, and reads only rows that are trained
    layers                   weights, gradients and optimiser state: a share a worker

A layer's gathering is done by all workers together. So in training they go through the same number of micro-batches
(`in_step`), and for sampling, where lengths differ, the layers are gathered once (`gathered`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from components.training.gradients import most
from model.learning.packing import Row
from model.vlm.tokens import Strip, Vocabulary


def spread(vlm: Any, *, bf16: bool = False) -> None:
    """In place. bf16: arithmetic and gathering in bfloat16, sums of gradients in float32."""
    language = vlm.model.language_model
    device = next(language.parameters()).device.type
    mesh = init_device_mesh(device, (distributed.get_world_size(),))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
    inside = {p for layer in language.layers for p in layer.parameters()}
    for layer in language.layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    outside = {p for p in language.parameters() if not isinstance(p, DTensor) and p not in inside}
    fully_shard(language, mesh=mesh, ignored_params=outside)
    for part in [*language.layers, language]:
        part.set_gradient_divide_factor(1.0)  # sums: the denominator is already that of all workers
        part.set_force_sum_reduction_for_comms(True)  # gloo knows no scaled sum


@contextmanager
def gathered(vlm: Any) -> Iterator[None]:
    """All layers whole on every worker, for the length of the block: each may go through them as often as it likes."""
    parts = [part for part in vlm.model.language_model.modules() if hasattr(part, "unshard")]
    for part in parts:
        part.unshard()
        part.set_reshard_after_forward(False)
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True)
            part.reshard()


def in_step(batches: Iterable[list[Row]], trained: Iterable[Tensor], vocabulary: Vocabulary) -> Iterator[list[Row]]:
    """A worker's micro-batches; where layers are spread, as many as the busiest has, the added ones weigh nothing."""
    if not any(isinstance(p, DTensor) for p in trained):
        yield from batches
        return
    own = list(batches)
    wanted = int(most(len(own)))  # before the first: from then on workers only meet inside the layers
    yield from own
    for _ in range(wanted - len(own)):
        yield [_idle(vocabulary)]


def whole(tensor: Tensor) -> Tensor:
    """All of it, on every worker; each has to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def share_of(full: Tensor, like: Tensor) -> Tensor:
    """This worker's part of `full`, kept as `like` is."""
    full = full.to(like.device)
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full, like.device_mesh, like.placements, src_data_rank=None)


def groups(parameters: Sequence[torch.nn.Parameter]) -> list[dict[str, Any]]:
    """Whole and spread ones apart: an optimiser can't take them in one call."""
    apart = [[p for p in parameters if isinstance(p, DTensor) is kind] for kind in (False, True)]
    return [{"params": some} for some in apart if some]


def _idle(vocabulary: Vocabulary) -> Row:
    branch = Strip(start=1)
    branch.write([vocabulary.turn_end], trained=True)
    shared = Strip()
    shared.write([vocabulary.turn_end])
    return Row(shared, [branch], [], [0.0])
