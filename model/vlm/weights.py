"""What a .safetensors claims and holds, checked: its header before anything opens it, its numbers once they are there.

Format: 8 bytes of length, little endian, a header of JSON with each tensor's place, the tensors without a gap.
"""

import json
import struct
from pathlib import Path

import torch

from model.interface.errors import BadInput

LARGEST_HEADER = 100_000_000
"""Bytes, as the safetensors library has it."""
AGAIN = "take the weights again from where they came"


def check_header(path: Path) -> None:
    """Raises BadInput where the file is not as long as its own header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))[0]
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise _refused(path, "damaged weights", "header", f"{length} bytes claimed", f"2 to {max(2, size - 8)}")
        try:
            told = json.loads(file.read(length))
            ends = [int(tensor["data_offsets"][1]) for name, tensor in told.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise _refused(
                path, "damaged weights", "header", type(error).__name__, "a place for each tensor"
            ) from error
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        what = "the weights are truncated" if size < wanted else "more bytes than weights"
        raise _refused(path, what, "size", f"{size} bytes", f"{wanted}")


def check_values(path: Path, vlm: torch.nn.Module) -> None:
    """Raises BadInput where a weight is no finite number. path: for the message."""
    for name, weights in vlm.named_parameters():
        if bad := int((~torch.isfinite(weights)).sum()):
            raise _refused(path, "weights without a value", name, f"{bad} NaN or infinite", "finite numbers")


def _refused(path: Path, what: str, field: str, found: str, wanted: str) -> BadInput:
    where = f"{path.parent.name}/{path.name}, {field}: found {found}, wanted {wanted}"
    return BadInput(what, where=where, next=AGAIN)
