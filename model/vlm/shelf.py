"""Visual tokens on disk, a file a picture; the least recently used go first.

Many processes may use one folder. A file is written whole or not at all, and one whose bytes aren't those that were
written is thrown away: its picture goes through the tower again. Where nothing more can be written, nothing more is
kept: that is said once, and the work goes on.
"""

import hashlib
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.interface.writing import replacing

NAME = "tokens"
SPARE = 0.1
"""Share of the room that a sweep leaves free: so much is written until the next one, which lists the whole folder."""
LEFT_S = 3600
"""After this a file that is half written is one that a killed process left."""


class Shelf:
    def __init__(self, folder: Path, room_gb: float) -> None:
        """room_gb: 10^9 bytes that are kept, at most; each further process may add `SPARE` of it before it sweeps."""
        self.folder, self.room = folder, int(room_gb * 1e9)
        self._spare, self._warned = 0.0, False

    def take(self, keys: Iterable[bytes], device: torch.device) -> dict[bytes, Tensor]:
        """Those of the keys that are there."""
        found = {}
        for key in keys:
            tokens = _read(self._file(key))
            if tokens is not None:
                with suppress(FileNotFoundError):  # another process made room since it was read
                    os.utime(self._file(key))
                found[key] = tokens.to(device)
        return found

    def put(self, made: Mapping[bytes, Tensor]) -> None:
        """As many as can be written: the disk may be full."""
        try:
            for key, tokens in made.items():
                self._write(self._file(key), tokens.detach().cpu().contiguous())
        except (OSError, SafetensorError) as error:
            if not self._warned:
                warnings.warn(f"visual tokens can't be kept in {self.folder}: {error}; going on without", stacklevel=2)
            self._warned = True

    def _file(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}.safetensors"

    def _write(self, file: Path, tokens: Tensor) -> None:
        with replacing(file) as part:
            save_file({NAME: tokens.clone()}, part, metadata={"sha256": _digest(tokens)})
            self._spare -= part.stat().st_size
        if self._spare < 0:
            self._make_room()
            self._spare = SPARE * self.room

    def _make_room(self) -> None:
        seen, now = [], time.time()
        for file in self.folder.iterdir():
            try:
                told = file.stat()
            except FileNotFoundError:  # another process made room first
                continue
            if file.suffix == ".safetensors":
                seen.append((told.st_mtime_ns, told.st_size, file))
            elif file.suffix == ".part" and now - told.st_mtime > LEFT_S:
                file.unlink(missing_ok=True)
        used = sum(size for _, size, _ in seen)
        for _, size, file in sorted(seen):
            if used <= (1 - SPARE) * self.room:
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
