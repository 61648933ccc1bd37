"""Will it fit? What answers need at most, told before anything is allocated.

An engine asks before it opens studies and before it answers; a plan asks before there is an engine
(`components.training.estimate`). Both ask here, of the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.vlm.fixed import WINDOW
from model.vlm.sampling import Sampling

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """What of a language model decides how much its answers take."""

    depth: int
    hidden: int
    mlp: int
    vocabulary: int
    kv_width: int
    """Numbers a layer keeps of a token as keys; as many as values."""
    width: int
    """Bytes a value of the arithmetic."""

    @property
    def a_token(self) -> int:
        """Bytes of its keys and values, all layers."""
        return 2 * self.depth * self.kv_width * self.width

    def a_pass(self, tokens: int) -> int:
        """Bytes of a pass over so many: a layer at work. What goes from layer to layer is float32 under autocast."""
        return tokens * (6 * self.hidden * 4 + 3 * self.mlp * self.width)


def size_of(vlm: Any, width: int) -> Size:
    text = vlm.model.language_model.config
    d = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Size(
        text.num_hidden_layers,
        text.hidden_size,
        text.intermediate_size,
        text.vocab_size,
        text.num_key_value_heads * d,
        width,
    )


def width_of(vlm: Any, device: torch.device) -> int:
    """Bytes a value of the arithmetic as it is now: of what autocast casts to, else of the weights."""
    cast = torch.is_autocast_enabled(device.type)
    return (torch.get_autocast_dtype(device.type) if cast else vlm.dtype).itemsize


def study_bytes(size: Size, lengths: Sequence[int], pictures: int) -> int:
    """What opening studies together takes: their keys and values, the pass that makes them, their visual tokens.

    lengths: tokens of each study's strip; pictures: visual tokens of all of them.
    """
    padded = len(lengths) * max(lengths)
    rotated = 0 if size.width == 4 else 4 * size.depth * size.kv_width  # keys are float32 under autocast, then cast
    mask = padded * max(lengths)  # bool[S, P, P]
    return padded * (size.a_token + rotated) + size.a_pass(padded) + mask + pictures * size.hidden * size.width


def answer_bytes(size: Size, begun: Sequence[int], sampling: Sampling, contract: Contract, flat: bool) -> int:
    """What rows take at most beside their studies, every budget used up.

    Rows advance together, so that a row that waits has columns too: in the worst case every round is as long as the
    longest of any row. begun: tokens of each row's branch as asked. flat: about images, where a box brings one crop.
    """
    a_round = max(max(begun), _slices(sampling, contract, flat) * crop_tokens(contract))
    scores = 4 * 4 * size.vocabulary  # float32, and what drawing makes of them
    each = 2 * columns(begun, sampling, contract, flat) * size.a_token  # twice, while rows are let go
    return len(begun) * (each + scores) + size.a_pass(len(begun) * a_round)


def batch_bytes(
    size: Size, lengths: Sequence[int], begun: Sequence[int], sampling: Sampling, contract: Contract, flat: bool
) -> int:
    """What a batch takes at most from the opening of its studies to its last answer; see `study_bytes`, of whose tokens
    all count as pictures, and `answer_bytes`. The studies' keys and values lie there twice: as read, and as shared."""
    kept = 2 * len(lengths) * max(lengths) * size.a_token + sum(lengths) * size.hidden * size.width
    return max(study_bytes(size, lengths, sum(lengths)), kept + answer_bytes(size, begun, sampling, contract, flat))


def columns(begun: Sequence[int], sampling: Sampling, contract: Contract, flat: bool) -> int:
    """Columns that rows take together, see `answer_bytes`; whole windows of `Fixed`, so whole blocks of `Memory`."""
    crops = sampling.max_boxes * _slices(sampling, contract, flat)
    crops = crops if sampling.max_crops is None else min(crops, len(begun) * sampling.max_crops)
    most = max(begun) + min(len(begun), sampling.max_boxes + 1) * sampling.max_tokens + crops * crop_tokens(contract)
    return -(-most // WINDOW) * WINDOW


def _slices(sampling: Sampling, contract: Contract, flat: bool) -> int:
    return 1 if flat else sampling.slices(contract)


def crop_tokens(contract: Contract) -> int:
    """Of a picture that a box brings, at most, with the tags around it."""
    return (contract.crop_side // contract.factor) ** 2 + 2


def check(needed: int, device: torch.device, room_mb: int | None) -> None:
    """Raises BadInput where `needed` bytes are more than there is. room_mb: a cap of the caller's own."""
    free = free_bytes(device) if room_mb is None else room_mb * MB
    if free is not None and needed > free:
        raise BadInput(
            "this is more than fits into memory",
            where=f"memory of {device.type}: found {free // MB} MB, wanted up to {-(-needed // MB)} MB",
            next="ask fewer questions or samples at once, or lower max_tokens, max_boxes or max_slices",
        )


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device; None where the system doesn't tell.

    On CUDA also what torch has taken and nobody uses any more: the driver doesn't know that it is free.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    told = Path("/proc/meminfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
