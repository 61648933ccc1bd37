"""The checkpoint folder: a Hugging Face folder that transformers opens by itself, plus our contract.

config.json  model.safetensors  tokenizer.json  tokenizer_config.json  preprocessor_config.json
contract.json    how pixels become tokens; refused when it does not fit the weights
manifest.json    SHA-256 of every file above; checked before anything is loaded
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from model.interface import contract as contract_file
from model.interface.contract import Contract
from model.interface.errors import BadInput, Integrity
from model.interface.strict_json import read_json
from model.interface.writing import sha256
from model.vlm.backbone import open_weights
from model.vlm.tokens import Vocabulary
from model.vlm.tower import MEAN, STD
from model.vlm.weights import check_header, check_values

MANIFEST, WEIGHTS = "manifest.json", "model.safetensors"
ODD = (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError, SafetensorError)
"""What transformers, tokenizers, safetensors and pydantic raise at files that aren't theirs."""


@dataclass(frozen=True)
class Checkpoint:
    vlm: Any
    """A Qwen2.5-VL or Qwen3-VL of transformers; their own types are too loose to check against."""
    tokenizer: PreTrainedTokenizerFast
    contract: Contract
    digest: str
    """SHA-256 of the manifest, hex; "" while it has not been saved."""

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.tokenizer)


def save(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype = torch.float32) -> str:
    """Write a checkpoint; the folder appears whole or not at all. Returns its digest."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "checkpoint"
        _write_weights(checkpoint.vlm, made, dtype)
        checkpoint.tokenizer.save_pretrained(made)
        _write_processor(checkpoint, made)
        checkpoint.contract.save(made)
        manifest = {path.name: sha256(path) for path in sorted(made.iterdir())}
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        for path in made.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    return sha256(folder / MANIFEST)


def load(folder: Path, device: str = "cpu") -> Checkpoint:
    """Check the manifest, then open. Raises BadInput (no checkpoint) or Integrity (changed bytes)."""
    digest = verify(folder)
    contract = _opened(folder, contract_file.FILE, Contract.load)
    if not (folder / WEIGHTS).is_file() and not any(folder.glob("*.safetensors")):
        raise _refused(folder, WEIGHTS, "no weights here", "none in safetensors", "safetensors; nothing else is opened")
    for path in sorted(folder.glob("*.safetensors")):
        check_header(path)
    vlm: Any = _opened(folder, "config.json", open_weights)
    check_values(folder / WEIGHTS, vlm)
    tokenizer = _opened(folder, "tokenizer.json", AutoTokenizer.from_pretrained)
    vision: Any = vlm.config.vision_config
    if (vision.patch_size, vision.spatial_merge_size) != (contract.patch, contract.merge):
        raise Integrity(
            "contract and weights disagree",
            where=f"{folder.name}/{contract_file.FILE}, patch x merge, found {contract.patch} x {contract.merge}, "
            f"wanted {vision.patch_size} x {vision.spatial_merge_size}",
            next="take the contract that was saved with these weights",
        )
    return Checkpoint(vlm.to(device), tokenizer, contract, digest)


def verify(folder: Path) -> str:
    """Every file has the bytes the manifest says; returns the manifest's own digest."""
    if not (folder / MANIFEST).is_file():
        raise BadInput(
            "no checkpoint here",
            where=f"{folder.name}/{MANIFEST}, found nothing, wanted a checkpoint folder",
            next="urm doctor",
        )
    for name, wanted in _manifest(folder).items():
        found = sha256(folder / name) if (folder / name).is_file() else "no file"
        if found != wanted:
            raise Integrity(
                "a checkpoint file does not match its manifest",
                where=f"{folder.name}/{name}, SHA-256, found {found[:12]}, wanted {wanted[:12]}",
                next="dvc checkout, or train again",
            )
    return sha256(folder / MANIFEST)


def _manifest(folder: Path) -> dict[str, str]:
    """{file: SHA-256}, of files in the folder itself."""
    row = read_json(folder / MANIFEST)
    if not isinstance(row, dict) or any(Path(n).name != n or not isinstance(told, str) for n, told in row.items()):
        raise _refused(folder, MANIFEST, "damaged manifest", "something else", "{file: SHA-256}")
    return row


def _opened(folder: Path, name: str, open_: Callable[[Path], Any]) -> Any:
    """What `open_` makes of the folder; raises BadInput naming the file that decides it."""
    try:
        return open_(folder)
    except ODD as error:
        found = type(error).__name__
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            found = f"{'.'.join(map(str, first['loc']))}, {first['msg']}"
        name = WEIGHTS if isinstance(error, SafetensorError) else name
        raise _refused(folder, name, "the checkpoint can't be opened", found, "a file as it was saved") from error


def _refused(folder: Path, name: str, what: str, found: str, wanted: str) -> BadInput:
    where = f"{folder.name}/{name}: found {found}, wanted {wanted}"
    return BadInput(what, where=where, next="dvc checkout, or train again")


def _write_weights(vlm: Any, folder: Path, dtype: torch.dtype) -> None:
    before = next(vlm.parameters()).dtype
    vlm.to(dtype).save_pretrained(folder, safe_serialization=True)
    vlm.to(before)


def _write_processor(checkpoint: Checkpoint, folder: Path) -> None:
    """What transformers' own image processor needs to make the same patches of what `tower.channels` makes."""
    contract, vision = checkpoint.contract, checkpoint.vlm.config.vision_config
    side = contract.factor**2
    values = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": contract.patch,
        "merge_size": contract.merge,
        "temporal_patch_size": 2,
        "image_mean": list(getattr(vision, "image_mean", [MEAN] * 3)),
        "image_std": list(getattr(vision, "image_std", [STD] * 3)),
        "size": {"shortest_edge": side, "longest_edge": max(contract.image_side, contract.volume_side) ** 2},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values, indent=1) + "\n")
