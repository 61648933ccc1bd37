"""Backbones by hub id or folder: the real models, placed, with their adapters.

    open_backbone("Qwen/Qwen2.5-VL-7B-Instruct", Placing(dtype="bfloat16", device="cuda:0"))

Only JSON, text and safetensors are ever fetched or opened. Our own checkpoints have a manifest besides and are opened
by `checkpoint.load`. Quantised weights need bitsandbytes and a CUDA device; neither was there to test with.
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoTokenizer

from model.interface import contract as contract_file
from model.interface.contract import Contract
from model.interface.errors import BadInput, TryAgain
from model.vlm.backbone import open_weights
from model.vlm.checkpoint import Checkpoint

OPENED = ("*.json", "*.safetensors", "*.jinja", "*.txt")
NEEDED = (
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|im_start|>",
    "<|im_end|>",
)
PAPER_TOKENS = 9
"""Visual tokens a side of a slice: 252 px of Qwen2.5-VL's 28 (arXiv 2606.11740), 288 of Qwen3-VL's 32."""


@dataclass(frozen=True, slots=True)
class Placing:
    """Where the weights go and how they are kept."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"
    """A torch device, or "auto": spread over what there is, by accelerate."""
    tower_attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Kernel of the tower. The language model takes SDPA: its mask is a tree, which flash attention can't read."""
    adapter: Path | None = None
    """LoRA folder, on the language model only."""
    four_bit: bool = False
    """NF4 weights in the language model, for QLoRA; the tower is never quantised."""


def open_backbone(source: str | Path, placing: Placing | None = None, contract: Contract | None = None) -> Checkpoint:
    """A checkpoint of another's weights; `digest` is "" because nothing vouches for them.

    contract: the folder's own, else the paper's geometry for its patches. Raises BadInput (what is there can't be
    used) or TryAgain (the hub doesn't answer).
    """
    placing = placing or Placing()
    folder = fetched(source)
    _refuse_code(folder)
    kept = contract or (Contract.load(folder) if (folder / contract_file.FILE).is_file() else None)
    vlm = open_weights(folder, getattr(torch, placing.dtype), **_settings(placing))
    if placing.adapter:
        vlm = with_adapter(vlm, placing.adapter, merge=not placing.four_bit)
    if placing.device != "auto" and not placing.four_bit:
        vlm = vlm.to(placing.device)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if absent := [name for name in NEEDED if name not in tokenizer.get_vocab()]:
        raise BadInput(
            "this tokenizer has no tokens for pictures or boxes",
            where=f"{folder.name}/tokenizer.json, found no {' '.join(absent)}, wanted Qwen's special tokens",
            next="give the tokenizer that was saved with the weights",
        )
    return Checkpoint(vlm, tokenizer, kept or paper_contract(vlm), "")


def paper_contract(vlm: Any) -> Contract:
    """The paper's geometry in whole tokens of this tower: 32 grey slices of 9 x 9 tokens, without labels."""
    vision = vlm.config.vision_config
    side = PAPER_TOKENS * vision.patch_size * vision.spatial_merge_size
    return Contract(
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        image_side=side,
        volume_side=side,
        crop_side=side,
        crop_slices=32,
        slice_labels=False,
        channels="grey",
    )


def fetched(source: str | Path) -> Path:
    """A folder with the files that may be opened: the one given, or the hub's snapshot."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(str(source), allow_patterns=list(OPENED)))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise BadInput(
            "there is no such model",
            where=f"backbone: found {Path(source).name!r}, wanted a folder or an id like 'Qwen/Qwen2.5-VL-7B-Instruct'",
            next="check its name; a gated one wants `hf auth login`",
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise TryAgain(
            "the hub doesn't answer, and this model isn't on disk",
            where=f"backbone: {Path(source).name!r}",
            next="try again with a network, or give a folder",
        ) from error


def with_adapter(vlm: Any, folder: Path, *, merge: bool) -> Any:
    """The same model with a LoRA adapter on its language model. merge: into the weights, which costs nothing later.

    Raises BadInput where the adapter is a pickle, reaches into the tower or doesn't fit.
    """
    from peft import PeftModel

    if not (folder / "adapter_model.safetensors").is_file():
        raise BadInput(
            "this adapter can't be used",
            where=f"{folder.name}, found no adapter_model.safetensors, wanted one; pickles are never opened",
            next="save it again with safetensors",
        )
    try:
        adapted = PeftModel.from_pretrained(vlm, folder)
    except (RuntimeError, ValueError) as error:  # shapes that differ, modules that aren't there
        raise BadInput(
            "this adapter doesn't fit this model",
            where=f"{folder.name}/adapter_config.json, found other modules or shapes than the backbone's",
            next="give the backbone it was trained on",
        ) from error
    if any("lora" in name for name, _ in vlm.model.visual.named_parameters()):
        raise BadInput(
            "this adapter changes the tower",
            where=f"{folder.name}/adapter_config.json, target_modules, found some in visual, wanted none",
            next="train it on the language model: the tower's tokens are kept over steps",
        )
    return adapted.merge_and_unload() if merge else adapted.get_base_model()


def _refuse_code(folder: Path) -> None:
    for file in sorted(folder.glob("*.json")):
        try:
            told = json.loads(file.read_text())
        except ValueError as error:
            raise BadInput(
                "this model can't be used",
                where=f"{folder.name}/{file.name}, found no JSON, wanted JSON",
                next="fetch it again",
            ) from error
        if isinstance(told, dict) and "auto_map" in told:
            raise BadInput(
                "this model can't be used",
                where=f"{folder.name}/{file.name}, found auto_map, wanted none: code of others is never run",
                next="give a checkpoint of transformers' own classes",
            )


def _settings(placing: Placing) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "attn_implementation": {"text_config": "sdpa", "vision_config": placing.tower_attention}
    }
    if placing.tower_attention == "flash_attention_2":
        _need("flash_attn", "tower_attention flash_attention_2")
    if placing.device == "auto" or placing.four_bit:
        settings["device_map"] = "auto" if placing.device == "auto" else {"": placing.device}
    if placing.four_bit:
        _need("bitsandbytes", "four_bit")
        from transformers import BitsAndBytesConfig

        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=["visual", "lm_head"],  # of 4 bit too, whatever its name
        )
    return settings


def _need(package: str, setting: str) -> None:
    if importlib.util.find_spec(package) is None or not torch.cuda.is_available():
        raise BadInput(
            f"{setting} can't be had here",
            where=f"{setting}: found no {package} or no CUDA device, wanted both",
            next=f"install {package} on a machine with a GPU, or leave {setting} out",
        )
