"""How large a backbone is, known before its weights are: parameters by part, counted on the meta device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from components.training.profiles import QWEN_3B, QWEN_7B
from model.interface import contract as contract_file
from model.interface.contract import Contract
from model.interface.errors import TryAgain
from model.vlm.backbone import FAMILIES
from model.vlm.hub import fetched, paper_contract
from model.vlm.room import Size, size_of

_TOWER: dict[str, Any] = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
PUBLISHED: dict[str, dict[str, Any]] = {
    QWEN_3B: {
        "text_config": {
            "vocab_size": 151936,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
        "vision_config": _TOWER | {"out_hidden_size": 2048},
        "tie_word_embeddings": True,
    },
    QWEN_7B: {
        "text_config": {
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "tie_word_embeddings": False,
        },
        "vision_config": _TOWER | {"out_hidden_size": 3584},
        "tie_word_embeddings": False,
    },
}
"""What the config.json of each says on the hub, so that a run can be planned where the hub isn't."""


@dataclass(frozen=True, slots=True)
class Shape:
    tower: int
    """Parameters of tower and projector."""
    layers: int
    """Of all layers of the language model."""
    outside: int
    """Of embeddings, last norm and head; a head that is the embeddings counts once."""
    linear: tuple[tuple[int, int], ...]
    """(in, out) of every linear layer that LoRA adds to."""
    text: Size
    """Of the language model; its `width` is that of float32."""
    contract: Contract

    @property
    def language(self) -> int:
        return self.layers + self.outside


def shape_of(source: Path) -> Shape:
    """Of a checkpoint folder or a hub id. Raises TryAgain where the id is neither on disk nor one we know."""
    config = _config(source)
    with torch.device("meta"):
        vlm = FAMILIES[config.model_type](config)
    language = vlm.model.language_model
    inside = [module for module in language.layers.modules() if isinstance(module, torch.nn.Linear)]
    tower, layers = (_count(part) for part in (vlm.model.visual, language.layers))
    folder = source if (source / contract_file.FILE).is_file() else None
    return Shape(
        tower,
        layers,
        _count(vlm) - tower - layers,
        tuple((module.in_features, module.out_features) for module in inside),
        size_of(vlm, 4),
        Contract.load(folder) if folder else paper_contract(vlm),
    )


def _config(source: Path) -> Any:
    if source.is_dir():
        return AutoConfig.from_pretrained(source)
    try:
        return AutoConfig.from_pretrained(fetched(str(source)))
    except TryAgain:
        if str(source) not in PUBLISHED:
            raise
    return FAMILIES["qwen2_5_vl"].config_class(**PUBLISHED[str(source)])


def _count(part: torch.nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())
