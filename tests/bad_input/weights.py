"""Malformed checkpoint folders: damaged after they were sealed, or sealed with something wrong in them."""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path

from tests.bad_input.case import READ, Case, Verdict
from tests.bad_input.openers import CHECKPOINT

WEIGHTS = "model.safetensors"
Change = Callable[[bytes], bytes]


def saved(folder: Path) -> Path:
    """A checkpoint that never learned anything."""
    from model.interface.contract import Contract
    from model.vlm import checkpoint as checkpoints
    from model.vlm.backbone import TinySize, tiny
    from model.vlm.tokenizer import train

    contract = Contract()
    tokenizer = train(["Which box holds the left thalamus?"] * 9, 900)
    size = TinySize(
        hidden=64, layers=1, heads=2, kv_heads=1, mlp=64, tower_hidden=32, tower_layers=1, tower_heads=2, tower_mlp=32
    )
    vlm = tiny(contract, tokenizer, size, seed=0)
    checkpoints.save(checkpoints.Checkpoint(vlm, tokenizer, contract, ""), folder / "checkpoint")
    return folder / "checkpoint"


def damaged(name: str, change: Change) -> Callable[[Path], Path]:
    """A file changed after the folder was sealed."""

    def build(folder: Path) -> Path:
        place = saved(folder)
        (place / name).write_bytes(change((place / name).read_bytes()))
        return place

    return build


def sealed(name: str, change: Change) -> Callable[[Path], Path]:
    """A file changed, and the folder sealed with it."""

    def build(folder: Path) -> Path:
        place = damaged(name, change)(folder)
        told = json.loads((place / "manifest.json").read_text())
        told[name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
        (place / "manifest.json").write_text(json.dumps(told))
        return place

    return build


def without(name: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        place = saved(folder)
        (place / name).unlink()
        return place

    return build


def pickled(folder: Path) -> Path:
    """The weights as a pickle, which isn't even looked at."""
    place = sealed(WEIGHTS, lambda raw: raw)(folder)
    told = json.loads((place / "manifest.json").read_text())
    told["pytorch_model.bin"] = told.pop(WEIGHTS)
    (place / WEIGHTS).rename(place / "pytorch_model.bin")
    (place / "manifest.json").write_text(json.dumps(told))
    return place


def told_in(**changes: object) -> Change:
    """Keys of a JSON file changed."""
    return lambda raw: json.dumps(json.loads(raw) | changes).encode()


def flipped(raw: bytes) -> bytes:
    return raw[:-9] + bytes([raw[-9] ^ 0x40]) + raw[-8:]


def with_nan(raw: bytes) -> bytes:
    """Ten weights NaN, the last ones of the file."""
    return raw[:-40] + struct.pack("<10f", *[float("nan")] * 10)


def renamed(raw: bytes) -> bytes:
    """A weight of another name, of the same length."""
    return raw.replace(b"norm.weight", b"morn.weight", 1)


def nowhere(folder: Path) -> Path:
    return folder / "checkpoint"


ROWS: tuple[tuple[str, str, Callable[[Path], Path], tuple[str, ...]], ...] = (
    ("absent", "no folder", nowhere, ("no checkpoint here", "manifest.json")),
    ("bit", "one bit of the weights flipped", damaged(WEIGHTS, flipped), (WEIGHTS, "SHA-256")),
    ("empty folder", "a folder without a manifest", without("manifest.json"), ("no checkpoint here",)),
    ("contract byte", "one byte of the contract changed", damaged("contract.json", flipped),
     ("contract.json", "SHA-256")),
    ("cut", "400 bytes of the weights missing", damaged(WEIGHTS, lambda raw: raw[:-400]), (WEIGHTS, "SHA-256")),
    ("file gone", "no tokenizer", without("tokenizer.json"), ("tokenizer.json", "no file")),
    ("manifest", "a manifest that ends early", damaged("manifest.json", lambda raw: raw[:30]), ("manifest.json",)),
    ("manifest a list", "a manifest that is a list", damaged("manifest.json", lambda raw: b"[1]"), ("manifest.json",)),
    ("manifest escapes", "a manifest that names ../secret", damaged("manifest.json", told_in(**{"../secret": "00"})),
     ("manifest.json",)),
    ("header", "weights whose header claims 2^60 bytes",
     sealed(WEIGHTS, lambda raw: struct.pack("<Q", 1 << 60) + b"{}"), (WEIGHTS, "header")),
    ("empty", "weights of no byte", sealed(WEIGHTS, lambda raw: b""), (WEIGHTS, "header")),
    ("sealed cut", "weights sealed with 400 bytes missing", sealed(WEIGHTS, lambda raw: raw[:-400]),
     (WEIGHTS, "truncated")),
    ("offsets", "a weight that begins before the file",
     sealed(WEIGHTS, lambda raw: raw.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1)), (WEIGHTS,)),
    ("NaN", "ten weights NaN", sealed(WEIGHTS, with_nan), ("NaN", "10")),
    ("renamed", "a weight of another name", sealed(WEIGHTS, renamed), (WEIGHTS, "missing")),
    ("pickle", "weights as a pickle", pickled, ("safetensors",)),
    ("wide", "a config of other widths than the weights",
     sealed("config.json", lambda raw: raw.replace(b'"hidden_size": 64', b'"hidden_size": 128')), ("config.json",)),
    ("config", "a config that ends early", sealed("config.json", lambda raw: raw[:30]), ("config.json",)),
    ("architecture", "another architecture", sealed("config.json", told_in(model_type="llama")),
     ("model_type", "'llama'", "qwen2_5_vl")),
    ("code", "a config that brings code", sealed("config.json", told_in(auto_map={"AutoModel": "evil.Model"})),
     ("auto_map",)),
    ("contract", "a contract that ends early", sealed("contract.json", lambda raw: raw[:30]), ("contract.json",)),
    ("contract field", "a contract with a field nobody knows", sealed("contract.json", told_in(zoom=2)),
     ("contract.json", "zoom")),
    ("contract of others", "another model's contract", sealed("contract.json", told_in(patch=4, merge=4)),
     ("contract and weights disagree",)),
    ("no tokenizer", "JSON that is no tokenizer", sealed("tokenizer.json", lambda raw: b"{}"), ("tokenizer.json",)),
    ("tokenizer", "a tokenizer that ends early", sealed("tokenizer.json", lambda raw: raw[:90]), ("tokenizer.json",)),
)  # fmt: skip


def case(name: str, wrong: str, build: Callable[[Path], Path], words: tuple[str, ...], verdict: Verdict) -> Case:
    return Case(f"checkpoint: {name}", wrong, build, words, verdict, CHECKPOINT)


CASES: list[Case] = [*(case(*row, "refused") for row in ROWS), case("good", "nothing", saved, (), READ)]
