"""Visual tokens on disk, a file a picture; the least recently used go first.

Many processes may use one folder. A file is written whole or not at all, and one whose bytes aren't those that were
written is thrown away: its picture goes through the tower again.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.interface.writing import replacing

NAME = "tokens"


class Shelf:
    def __init__(self, folder: Path, room_gb: float) -> None:
        """room_gb: 10^9 bytes that are kept, at most, looked at after each writing."""
        self.folder, self.room = folder, int(room_gb * 1e9)

    def take(self, keys: Iterable[bytes], device: torch.device) -> dict[bytes, Tensor]:
        """Those of the keys that are there."""
        found = {}
        for key in keys:
            tokens = _read(self._file(key))
            if tokens is not None:
                os.utime(self._file(key))
                found[key] = tokens.to(device)
        return found

    def put(self, made: Mapping[bytes, Tensor]) -> None:
        for key, tokens in made.items():
            whole = tokens.detach().cpu().contiguous()
            with replacing(self._file(key)) as part:
                save_file({NAME: whole.clone()}, part, metadata={"sha256": _digest(whole)})
        if made:
            self._make_room()

    def _file(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}.safetensors"

    def _make_room(self) -> None:
        seen = []
        for file in self.folder.glob("*.safetensors"):
            try:
                told = file.stat()
            except FileNotFoundError:  # another process made room first
                continue
            seen.append((told.st_mtime_ns, told.st_size, file))
        used = sum(size for _, size, _ in seen)
        for _, size, file in sorted(seen):
            if used <= self.room:
                return
            file.unlink(missing_ok=True)
            used -= size


def _read(file: Path) -> Tensor | None:
    try:
        with safe_open(file, "pt") as opened:
            tokens, told = opened.get_tensor(NAME), (opened.metadata() or {}).get("sha256")
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError):
        told, tokens = None, torch.empty(0)
    if told == _digest(tokens):
        return tokens
    file.unlink(missing_ok=True)
    return None


def _digest(tokens: Tensor) -> str:
    return hashlib.sha256(tokens.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
