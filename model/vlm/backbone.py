"""The network: a tiny Qwen2.5-VL made from its config, or a real one opened by folder or hub id.

A real one is a Qwen2.5-VL or a Qwen3-VL. The tiny one has every tower block attend over its whole picture; a real
Qwen2.5-VL keeps its windows.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)

from model.interface.contract import Contract
from model.interface.errors import BadInput

FAMILIES: dict[str, Any] = {
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
    "qwen3_vl": Qwen3VLForConditionalGeneration,
}
"""transformers' class of each model_type; every line above this module is shared."""


@dataclass(frozen=True, slots=True)
class TinySize:
    """Widths of the embedded model: about 3 M parameters."""

    hidden: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    mlp: int = 512
    tower_hidden: int = 128
    tower_layers: int = 6
    tower_heads: int = 4
    tower_mlp: int = 352


def tiny(
    contract: Contract, tokenizer: PreTrainedTokenizerFast, size: TinySize, seed: int
) -> Qwen2_5_VLForConditionalGeneration:
    """A new model with random weights; the same seed gives the same weights."""

    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(name))  # pyright: ignore[reportArgumentType]

    half = size.hidden // size.heads // 2
    rest = 3 * half // 8  # Qwen's own shares of a head: 16, 24 and 24 of 64
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": size.hidden,
            "intermediate_size": size.mlp,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.kv_heads,
            "max_position_embeddings": 8192,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [half - 2 * rest, rest, rest],
            },
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "depth": size.tower_layers,
            "hidden_size": size.tower_hidden,
            "intermediate_size": size.tower_mlp,
            "num_heads": size.tower_heads,
            "patch_size": contract.patch,
            "spatial_merge_size": contract.merge,
            "temporal_patch_size": 2,
            "window_size": 4 * contract.factor,
            "out_hidden_size": size.hidden,
            "fullatt_block_indexes": list(range(size.tower_layers)),
        },
        tie_word_embeddings=True,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Qwen2_5_VLForConditionalGeneration(config).float().eval()


def open_weights(source: str | Path, dtype: torch.dtype = torch.float32, **placing: Any) -> Any:
    """A model of one of `FAMILIES` from a folder or a hub id. safetensors only, no code of theirs is ever run.

    placing: what else `from_pretrained` takes (device_map, attn_implementation, quantization_config). Raises BadInput
    where the config names another architecture or carries code, where there are no safetensors, or where some weights
    aren't there.
    """
    name = Path(source).name
    config, _ = PreTrainedConfig.get_config_dict(source)
    family = config.get("model_type")
    if family not in FAMILIES or "auto_map" in config:
        raise BadInput(
            "this model can't be used",
            where=f"{name}/config.json, model_type, found {family!r}{' and auto_map' * ('auto_map' in config)}, "
            f"wanted {' or '.join(map(repr, FAMILIES))} without auto_map",
            next="give a Qwen2.5-VL or Qwen3-VL checkpoint",
        )
    if Path(source).is_dir() and not any(Path(source).glob("*.safetensors")):
        raise BadInput(
            "this model's weights can't be used",
            where=f"{name}, weights, found no *.safetensors, wanted safetensors; pickles are never opened",
            next="convert them where you trust them, or give another checkpoint",
        )
    vlm, told = FAMILIES[family].from_pretrained(
        source, dtype=dtype, use_safetensors=True, output_loading_info=True, **placing
    )
    if missing := sorted(told["missing_keys"]):  # transformers would fill them with random numbers
        raise BadInput(
            "weights are missing",
            where=f"{name}/model.safetensors, {missing[0]}: found {len(missing)} missing, wanted every weight of "
            "config.json",
            next="take weights and config from one place",
        )
    for key, value in _normalisation(Path(source)).items():
        setattr(vlm.config.vision_config, key, value)
    return vlm.eval()


def _normalisation(folder: Path) -> dict[str, list[float]]:
    """What the tower's own processor does to pixels of 0..1, where that isn't ours: see `tower.normalised`."""
    file = folder / "preprocessor_config.json"
    told = json.loads(file.read_text()) if file.is_file() else {}
    found = {key: told[key] for key in ("image_mean", "image_std") if key in told}
    return {} if set(map(tuple, found.values())) <= {(0.5, 0.5, 0.5)} else found


def freeze_tower(vlm: Any) -> None:
    """Tower and projector stay as they are in SFT and RL (arXiv 2606.11740), so features can be kept."""
    vlm.model.visual.requires_grad_(False)


def add_lora(vlm: Any, rank: int, *, alpha: int | None = None, tokens: Sequence[int] = ()) -> torch.nn.Module:
    """LoRA on every linear layer of the language model, in place; peft's model around it.

    alpha: what is added is scaled by alpha / rank; 2 x rank where it is None. tokens: ids whose rows of the embedding
    are trained too, because they are new to the model (peft#2376: under LoRA they would stay as they were drawn).
    """
    from peft import LoraConfig, get_peft_model

    linear = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    rows = {"embed_tokens": list(tokens)} if tokens else None
    additions = LoraConfig(r=rank, lora_alpha=alpha or 2 * rank, target_modules=linear, trainable_token_indices=rows)
    return get_peft_model(vlm, additions)
