"""Visual tokens that were made once: a bounded store by pixels, contract, tower and arithmetic.

The tower is frozen in SFT and RL, so a picture's tokens stay what they are until its weights change; the key holds
their digest, and changed weights find nothing. Nor is found under autocast what was made without, or the reverse.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.interface.contract import Contract
from model.vlm.regions import features_of
from model.vlm.shelf import Shelf

ROOM_MB = 512
"""Kept in memory where nothing else is said."""


class Features:
    """Visual tokens by key; the least recently used go first."""

    def __init__(self, room_mb: int = ROOM_MB, shelf: Shelf | None = None) -> None:
        """room_mb: what is kept in memory, at most; 0 keeps nothing there. shelf: what is kept on disk besides."""
        self.room, self.shelf = room_mb << 20, shelf
        self.used = self.hits = self.misses = 0
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()

    @property
    def keeps(self) -> bool:
        """Whether anything is kept anywhere; if not, nobody needs the tower's digest."""
        return bool(self.room or self.shelf)

    def of(self, vlm: Any, pictures: Sequence[np.ndarray], contract: Contract, tower: str) -> list[Tensor]:
        """float[tokens, hidden] of each picture. tower: `tower_digest` of the weights as they are now."""
        if not pictures or not self.keeps:
            return features_of(vlm, pictures, contract)
        device = next(vlm.parameters()).device
        made_by = tower, contract.digest(), _cast(device)
        keys = [_key(picture, *made_by) for picture in pictures]
        wanted = list(dict.fromkeys(key for key in keys if key not in self._kept))
        shelved = self.shelf.take(wanted, device) if self.shelf else {}
        absent = [key for key in wanted if key not in shelved]
        first = {key: pictures[keys.index(key)] for key in absent}
        made = dict(zip(absent, features_of(vlm, list(first.values()), contract), strict=True))
        if self.shelf:
            self.shelf.put(made)
        made |= shelved
        self.misses += len(absent)
        self.hits += len(keys) - len(absent)
        found = [made[key] if key in made else self._kept[key] for key in keys]
        for key, tokens in zip(keys, found, strict=True):
            self._keep(key, tokens)
        return found

    def _keep(self, key: bytes, tokens: Tensor) -> None:
        if key in self._kept:
            return self._kept.move_to_end(key)
        self._kept[key] = tokens.clone()  # never a view, which would hold all pictures of its batch
        self.used += tokens.nbytes
        while self.used > self.room:
            self.used -= self._kept.popitem(last=False)[1].nbytes
        return None


def tower_digest(vlm: Any) -> str:
    """SHA-256 over the tower's tensors and their type, and how it takes pixels and attends, hex."""
    digest = hashlib.sha256(_settings(vlm).encode())
    for name, tensor in sorted(vlm.model.visual.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class Tower:
    """`tower_digest` of a model in use: of a frozen tower it is worked out once, and again where the tower changed.

    A tensor that was replaced is seen, and so is a write into one, frozen or not: torch counts them for autograd. Not
    seen is a write behind its back into a frozen one, through `.data` or numpy.
    """

    def __init__(self, vlm: Any) -> None:
        self._vlm = vlm
        self._digest, self._told, self._seen = "", "", list[tuple[Tensor, int]]()

    def digest(self) -> str:
        visual, told = self._vlm.model.visual, _settings(self._vlm)
        now = [(tensor, tensor._version) for tensor in visual.state_dict().values()]
        frozen = not any(p.requires_grad for p in visual.parameters())
        if not (frozen and told == self._told and _untouched(now, self._seen)):
            # what was seen is held on to: until then no other tensor can have its place in memory
            self._digest, self._told, self._seen = tower_digest(self._vlm), told, now
        return self._digest


def _settings(vlm: Any) -> str:
    vision = vlm.config.vision_config
    return str([getattr(vision, name, None) for name in ("image_mean", "image_std", "_attn_implementation")])


def _untouched(now: Sequence[tuple[Tensor, int]], before: Sequence[tuple[Tensor, int]]) -> bool:
    return len(now) == len(before) and all(
        (p.data_ptr(), p.dtype, p.shape, version) == (q.data_ptr(), q.dtype, q.shape, seen)
        for (p, version), (q, seen) in zip(now, before, strict=True)
    )


def _cast(device: torch.device) -> str:
    """What autocast casts to now; nothing where it is off."""
    return str(torch.get_autocast_dtype(device.type)) if torch.is_autocast_enabled(device.type) else ""


def _key(picture: np.ndarray, tower: str, contract: str, cast: str) -> bytes:
    told = f"{tower} {contract} {picture.shape} {cast}".encode()
    return hashlib.sha256(told + np.ascontiguousarray(picture).tobytes()).digest()
