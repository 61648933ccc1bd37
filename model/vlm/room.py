"""Will it fit? What answers need at most, told before anything is allocated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.vlm.forward import Memory
from model.vlm.sampling import Sampling

MB = 1 << 20


def bytes_a_token(vlm: Any) -> int:
    """Keys and values of one token, all layers."""
    text = vlm.model.language_model.config
    d = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * text.num_hidden_layers * text.num_key_value_heads * d * vlm.dtype.itemsize


def study_bytes(vlm: Any, lengths: Sequence[int], pictures: int) -> int:
    """What opening studies together takes: their keys and values, the pass that makes them, their visual tokens.

    lengths: tokens of each study's strip; pictures: visual tokens of all of them.
    """
    text = vlm.model.language_model.config
    padded = len(lengths) * max(lengths)
    a_pass = padded * (6 * text.hidden_size + 3 * text.intermediate_size) * vlm.dtype.itemsize
    mask = padded * max(lengths)  # bool[S, P, P]
    return padded * bytes_a_token(vlm) + a_pass + mask + pictures * text.hidden_size * vlm.dtype.itemsize


def answer_bytes(vlm: Any, begun: Sequence[int], sampling: Sampling, contract: Contract, flat: bool) -> int:
    """What rows take at most beside their studies, every budget used up.

    Rows advance together, so that a row that waits has columns too: in the worst case every round is as long as the
    longest of any row. begun: tokens of each row's branch as asked. flat: about images, where a box brings one crop.
    """
    text = vlm.model.language_model.config
    scores = 4 * 4 * text.vocab_size  # float32, and what drawing makes of them
    each = 2 * columns(begun, sampling, contract, flat) * bytes_a_token(vlm)  # twice, while rows are let go
    return len(begun) * (each + scores)


def columns(begun: Sequence[int], sampling: Sampling, contract: Contract, flat: bool) -> int:
    """Columns that rows take together, see `answer_bytes`; whole blocks of `Memory`."""
    crop = (contract.crop_side // contract.factor) ** 2 + 2
    slices = 1 if flat else min(contract.crop_slices, sampling.max_slices or contract.crop_slices)
    crops = sampling.max_boxes * slices
    crops = crops if sampling.max_crops is None else min(crops, len(begun) * sampling.max_crops)
    most = max(begun) + min(len(begun), sampling.max_boxes + 1) * sampling.max_tokens + crops * crop
    return -(-most // Memory.BLOCK) * Memory.BLOCK


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
    """Free memory of a device; None where the system doesn't tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    told = Path("/proc/meminfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
