"""Values for a kind of machine: `urm train sft --profile NAME`, or `profile: NAME` in the section of a stage.

By profile: for any training, then for a stage that starts from a base (sft) and one that starts from an SFT (rl). Rates
are those of common recipes for text and geometry, untested on medical data; batches are near the paper's
(arXiv 2606.11740).
"""

from typing import Any

QWEN_3B, QWEN_7B = "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"
H200_GB = 141.0
"""Memory of an H200, 10^9 bytes, as its data sheet has it."""

_GPU: dict[str, Any] = {"gpu": True, "threads": 4, "dtype": "bf16", "checkpointing": True, "device_gb": H200_GB}
_SFT: dict[str, Any] = {"epochs": 1, "save_every": 100}
_RL: dict[str, Any] = {"group": 8, "max_tokens": 512, "max_slices": 16, "save_every": 20}
"""Room is foreseen for every slice of every box: at all 32 of the paper's, a group of 7B's answers fills a device."""

PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {},
    "h200-3b-lora": {
        "any": _GPU | {"tune": "lora", "workers": (1, 8), "micro_tokens": 16384},
        "base": _SFT
        | {"base": QWEN_3B, "lora": {"rank": 64, "alpha": 128}, "studies": 32, "lr": 1e-4, "weight_decay": 0.0},
        "sft": _RL | {"lora": {"rank": 32, "alpha": 64}, "images": 24, "volumes": 8, "lr": 1e-5},
    },
    "h200-7b-full": {
        "any": _GPU | {"workers": (2, 8), "parallel": "fsdp2", "micro_tokens": 8192},
        "base": _SFT | {"base": QWEN_7B, "studies": 64, "lr": 1e-5},
        "sft": _RL | {"images": 24, "volumes": 8, "rows": 32, "lr": 1e-6},
    },
    "cluster-7b": {
        "any": _GPU | {"address": "auto", "workers": (8, 32), "parallel": "fsdp2", "micro_tokens": 16384},
        "base": _SFT | {"base": QWEN_7B, "studies": 128, "lr": 1e-5},
        "sft": _RL | {"group": 16, "images": 96, "volumes": 32, "rows": 32, "lr": 1e-6},
    },
}
