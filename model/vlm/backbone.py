"""The network: a tiny Qwen2.5-VL made from its config, or a real one opened by folder or hub id.

Both are the same transformers class, so every line above this module is shared. The tiny one has
every tower block attend over its whole picture; a real one keeps Qwen's windows.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from model.interface.contract import Contract
from model.interface.errors import BadInput

MODEL_TYPE = "qwen2_5_vl"


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


def open_weights(source: str | Path, dtype: torch.dtype = torch.float32) -> Qwen2_5_VLForConditionalGeneration:
    """A model from a folder or a hub id. safetensors only, no code of theirs is ever run.

    Raises BadInput where the config names another architecture or carries code, or the weights aren't all there.
    """
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    if config.model_type != MODEL_TYPE or getattr(config, "auto_map", None):
        raise BadInput(
            "this model can't be used",
            where=f"{Path(source).name}/config.json, model_type, found {config.model_type!r}, "
            f"wanted {MODEL_TYPE!r} without auto_map",
            next="give a Qwen2.5-VL checkpoint",
        )
    vlm, told = Qwen2_5_VLForConditionalGeneration.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
        source, dtype=dtype, use_safetensors=True, output_loading_info=True
    )
    if missing := sorted(told["missing_keys"]):  # transformers would fill them with random numbers
        raise BadInput(
            "weights are missing",
            where=f"{Path(source).name}/model.safetensors, {missing[0]}: found {len(missing)} missing, wanted every "
            "weight of config.json",
            next="take weights and config from one place",
        )
    return vlm.eval()


def freeze_tower(vlm: Qwen2_5_VLForConditionalGeneration) -> None:
    """Tower and projector stay as they are in SFT and RL (arXiv 2606.11740), so features can be kept."""
    vlm.model.visual.requires_grad_(False)


def add_lora(vlm: Qwen2_5_VLForConditionalGeneration, rank: int) -> torch.nn.Module:
    """LoRA on every linear layer of the language model; alpha = 2 x rank."""
    from peft import LoraConfig, get_peft_model

    linear = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    return get_peft_model(vlm, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear))
