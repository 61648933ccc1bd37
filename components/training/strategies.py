"""How a checkpoint is trained: what is opened, which weights move, in what arithmetic, spread over whom.

    full    the language side; tower and projector are frozen (arXiv 2606.11740)
    lora    additions to the linear layers of the language model; published merged, the adapter beside it
    qlora   the same on a base in 4 bits (arXiv 2305.14314); merged into the base as it was

Whatever moves is float32, and so is its optimiser. What stands still is in the arithmetic's type where that saves
memory (lora) and float32 elsewhere.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from components.training import progress, sharding
from components.training.config import TrainingConfig
from components.training.progress import Position
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from model.vlm.backbone import add_lora, freeze_tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.hub import Placing, fetched, open_backbone
from model.vlm.recompute import checkpointing

ADAPTER = "adapter"
"""Folder beside the weights it was merged into."""


def vouched(source: Path) -> str:
    """What says which weights a training starts from: a manifest's digest, or the hub's revision."""
    if (source / folders.MANIFEST).is_file() or source.is_dir():
        return folders.verify(source)
    return f"{source} {fetched(str(source)).name}"


def open_base(source: Path, config: TrainingConfig, device: str = "cpu") -> Checkpoint:
    """One of our folders or a hub id. Raises BadInput where tune is qlora and bitsandbytes or a GPU is absent."""
    slim = config.dtype == "bf16" and config.tune != "full" and config.parallel == "ddp"
    dtype = "bfloat16" if slim or config.tune == "qlora" else "float32"
    if source.is_dir() and config.tune != "qlora":
        checkpoint = folders.load(source, device)
        checkpoint.vlm.to(getattr(torch, dtype))
        return checkpoint
    placing = Placing(dtype=dtype, device=device, four_bit=config.tune == "qlora")
    return open_backbone(str(source), placing)


def tuned(checkpoint: Checkpoint, config: TrainingConfig) -> dict[str, Parameter]:
    """Make the model trainable, in place; what moves, by name."""
    adapt(checkpoint, config)
    if config.parallel == "fsdp2":
        sharding.spread(checkpoint.vlm, bf16=config.dtype == "bf16")
    return trainable(checkpoint)


def adapt(checkpoint: Checkpoint, config: TrainingConfig) -> Any:
    """Freeze what stands still, add what lora adds; peft's model around ours, None for full."""
    freeze_tower(checkpoint.vlm)
    if config.tune == "full":
        return None
    lora = config.lora
    with torch.random.fork_rng():
        torch.manual_seed(0)  # every worker draws the same additions
        return add_lora(checkpoint.vlm, lora.rank, alpha=lora.alpha, tokens=_ids(checkpoint, lora.tokens))


def trainable(checkpoint: Checkpoint) -> dict[str, Parameter]:
    return {name: p for name, p in checkpoint.vlm.named_parameters() if p.requires_grad}


def adamw(trained: Mapping[str, Parameter], lr: float, weight_decay: float) -> torch.optim.AdamW:
    parts = sharding.groups(list(trained.values()))
    return torch.optim.AdamW(parts, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.98))


def arithmetic(config: TrainingConfig, device: torch.device) -> AbstractContextManager[Any]:
    """What sampling and training both run in."""
    return torch.autocast(device.type, torch.bfloat16) if config.dtype == "bf16" else nullcontext()


@contextmanager
def passing(vlm: Any, config: TrainingConfig) -> Iterator[None]:
    """What a forward pass of training runs in; its backward may come after it."""
    device = next(vlm.parameters()).device
    with arithmetic(config, device), checkpointing(vlm, config.checkpointing):
        yield


def publish(start: Path, config: TrainingConfig, state: Path, out: Path) -> tuple[str, Position]:
    """Write a state as a checkpoint folder that needs nothing beside it; its digest, and where the state stands."""
    checkpoint = open_base(start, config.model_copy(update={"tune": "full", "dtype": "fp32"}))
    adapted = adapt(checkpoint, config)
    position = progress.read(state, trainable(checkpoint))
    if adapted is None:
        return folders.save(checkpoint, out), position
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        adapted.peft_config["default"].base_model_name_or_path = str(start)  # never this machine's cache
        adapted.save_pretrained(Path(scratch) / ADAPTER, save_embedding_layers=False)
        merged = adapted.merge_and_unload()
        digest = folders.save(Checkpoint(merged, checkpoint.tokenizer, checkpoint.contract, ""), out)
        (Path(scratch) / ADAPTER).replace(out / ADAPTER)
    return digest, position


def _ids(checkpoint: Checkpoint, names: tuple[str, ...]) -> list[int]:
    known = checkpoint.tokenizer.get_vocab()
    if unknown := [name for name in names if name not in known]:
        raise BadInput(
            f"the tokenizer has no token {unknown[0]!r}",
            where=f"lora.tokens: found {' '.join(unknown)}, wanted tokens of the base",
            next="name tokens of its tokenizer.json, or leave them out",
        )
    return [known[name] for name in names]
