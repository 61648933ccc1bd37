"""A training, worked out before it starts: steps, tokens, memory, the size of a state. Nothing is loaded.

    weights      float32 where they move, else in the arithmetic's type; a share of the layers under FSDP2
    reference    of a KL under full tuning: the language side again, float32 and whole (rl)
    gradients    float32, of what moves                     optimiser  twice that (Adam's two moments)
    activations  of the longest micro-batch: what a layer keeps for the way back (a layer's input alone under
                 checkpointing, and one layer whole), and the head's scores of what is predicted, three times
    pictures     visual tokens that stay on the device
    answers      what the engine foresees for those sampled together (`model.vlm.room`), and under FSDP2 the layers,
                 which are whole while they are sampled (rl)

Gradients and activations are gone while answers are made, and the other way round: what counts is the larger. Memory is
within a tenth or so. Not counted: the kernels' own scratch, and what allocators lose; a run has to leave a twentieth of
the device for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from components.training.config import TrainingConfig
from components.training.load import Batch, Load, load_of
from components.training.rl_config import RlConfig
from components.training.shapes import Shape, shape_of
from model.interface.errors import BadInput
from model.learning.head import AT_ONCE
from model.learning.packing import LONG
from model.vlm import features, room

LEFT = 0.05
"""Share of a device that has to stay free."""
DISK_GB_S = 1.0
"""What a local SSD writes, at least; to say how long a state takes."""
KEPT_WHOLE = 12
"""Numbers of the hidden width that a layer keeps of a token, besides three of the MLP's (arXiv 2205.05198, table 2)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a worker, or of an engine of its pool; bytes."""

    weights: float
    reference: float = 0.0
    gradients: float = 0.0
    optimiser: float = 0.0
    activations: float = 0.0
    pictures: float = 0.0
    answers: float = 0.0

    @property
    def total(self) -> float:
        stays = self.weights + self.reference + self.optimiser + self.pictures
        return stays + max(self.gradients + self.activations, self.answers)

    @property
    def largest(self) -> str:
        """What to lower first, by name."""
        stays = {"weights": self.weights, "reference": self.reference, "pictures": self.pictures}
        if self.answers > self.gradients + self.activations:
            told = stays | {"optimiser": self.optimiser, "answers": self.answers}
        else:
            told = stays | {"optimiser": self.gradients + self.optimiser, "activations": self.activations}
        return max(told, key=told.__getitem__)


def lines(stage: str, start: Path, config: TrainingConfig) -> Iterator[str]:
    """The plan, to be read; raises BadInput as `check` does, after what was worked out has been told."""
    shape = shape_of(start)
    load = load_of(shape.contract, config)
    moving, need = moves(shape, config), memory(shape, load, config)
    state = 12 * moving / 1e9
    yield f"stage       {stage}, profile {config.profile}, tune {config.tune}, {config.parallel}, {config.dtype}"
    yield (
        f"parameters  {shape.tower + shape.language:,}: language side {shape.language:,}, tower {shape.tower:,}"
        f"; trained {moving:,}"
    )
    yield f"data        {load.told}; a row has about {load.row:,.0f} tokens, at most {load.longest:,.0f}"
    micro = max(1, round(load.a_step / max(config.micro_tokens, load.row)))
    yield (
        f"step        about {load.a_step:,.0f} tokens, {load.trained:,.0f} of them trained"
        f", in {micro} micro-batches over {_workers(config)}"
    )
    yield f"run         {load.steps:,} steps, about {load.steps * load.a_step:,.0f} tokens"
    if isinstance(config, RlConfig):
        yield _answers(load, shape, config)
    yield _told("a worker", need, config)
    if isinstance(config, RlConfig) and config.rollout == "pool":
        yield _told("an engine", engine_memory(shape, load, config), config)
    yield (
        f"state       {state:.2f} GB every {load.every} steps, {state / DISK_GB_S:.1f} s at {DISK_GB_S:g} GB/s"
        f"; {config.keep + bool(config.best)} kept"
    )
    _refuse(stage, shape, load, config)


def check(stage: str, start: Path, config: TrainingConfig) -> None:
    """Raises BadInput where the run can't fit the device that the config states, or has nothing to do."""
    shape = shape_of(start)
    _refuse(stage, shape, load_of(shape.contract, config), config)


def moves(shape: Shape, config: TrainingConfig) -> int:
    """Parameters that are trained."""
    if config.tune == "full":
        return shape.language
    rows = len(config.lora.tokens) * shape.text.hidden
    return config.lora.rank * sum(wide + tall for wide, tall in shape.linear) + rows


def memory(shape: Shape, load: Load, config: TrainingConfig) -> Memory:
    """Of a worker, with the fewest the run may go on with."""
    wide = 2 if config.dtype == "bf16" else 4
    text, share = shape.text, config.fewest if config.parallel == "fsdp2" else 1
    tokens = max(config.micro_tokens, load.longest)
    if config.tune == "full":
        held, moving = 4 * (shape.layers / share + shape.outside), shape.layers / share + shape.outside
        held += 4 * shape.tower
        # without FSDP, autocast keeps a copy of what it casts until the pass is over
        held += wide * (shape.language if share == 1 and config.parallel == "ddp" and wide == 2 else 0)
    else:
        moving = moves(shape, config) / share
        layer = 0.56 if config.tune == "qlora" else (4 if config.parallel == "fsdp2" else wide)  # NF4 and its scales
        held = layer * shape.layers / share + (2 if config.tune == "qlora" else layer) * (shape.outside + shape.tower)
        held += 4 * moving
    if config.parallel == "fsdp2":
        held += 2 * wide * shape.layers / text.depth  # a layer at work, and the next one on its way
    inside = tokens * (KEPT_WHOLE * text.hidden + 3 * text.mlp) * wide
    kept = text.depth * tokens * text.hidden * wide + inside if config.checkpointing else text.depth * inside
    scores = 3 * 4 * min(text.vocabulary * tokens * load.trained / max(load.a_step, 1), AT_ONCE)
    mask = 0 if config.gpu else tokens * min(load.longest, LONG) * (1 + wide)
    pictures, answers, copied = load.kept * text.hidden * wide, 0.0, False
    if isinstance(config, RlConfig):
        copied = config.kl != "none" and config.tune == "full"
        if config.rollout == "local":
            pictures += features.ROOM_MB << 20
            answers = answering(shape, load, config, 2 if config.tune == "qlora" else wide)
            answers += wide * shape.layers if config.parallel == "fsdp2" else 0
        else:
            pictures = 0.0  # in the machine's memory until they are learnt from
    reference = 4.0 * shape.language if copied else 0.0
    return Memory(held, reference, 4 * moving, 8 * moving, kept + scores + mask, pictures, answers)


def engine_memory(shape: Shape, load: Load, config: RlConfig) -> Memory:
    """Of an engine of a worker's pool, which is opened in float32 whatever the worker trains in."""
    answers = answering(shape, load, config, 4)
    pictures = (features.ROOM_MB << 20) + load.kept * shape.text.hidden * 4
    return Memory(4.0 * (shape.language + shape.tower), pictures=pictures, answers=answers)


def answering(shape: Shape, load: Load, config: RlConfig, width: int) -> float:
    """What the engine may need at most for a batch of a step's answers. width: bytes a value of the arithmetic."""
    size, sampling = replace(shape.text, width=width), config.sampling()
    return max(
        room.batch_bytes(
            size, [round(b.study)] * b.studies, [round(b.begun)] * b.rows, sampling, shape.contract, flat=b.flat
        )
        for b in load.batches
    )


def _answers(load: Load, shape: Shape, config: RlConfig) -> str:
    def told(batch: Batch) -> str:
        columns = room.columns([round(batch.begun)] * batch.rows, config.sampling(), shape.contract, batch.flat)
        return f"{batch.rows} about {'images' if batch.flat else 'volumes'}, room of {columns:,} tokens each"

    return f"answers     together {'; '.join(map(told, load.batches))}"


def _told(whose: str, need: Memory, config: TrainingConfig) -> str:
    told = {name: getattr(need, name) for name in ("weights", "reference", "optimiser", "pictures")}
    update, answers = need.gradients + need.activations, need.answers
    stays = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in told.items() if size)
    parts = [f"update {update / 1e9:.2f} (activations {need.activations / 1e9:.2f})"] if update else []
    parts += [f"answers {answers / 1e9:.2f}"] if answers else []
    return (
        f"memory      {need.total / 1e9:.2f} GB {whose}"
        f"{f' of {config.device_gb:g}' if config.device_gb else ''}: {stays}, and {' or '.join(parts)}"
    )


def _refuse(stage: str, shape: Shape, load: Load, config: TrainingConfig) -> None:
    """Raises BadInput where the device that the config states is too small."""
    needs = {"a worker": memory(shape, load, config)}
    if isinstance(config, RlConfig) and config.rollout == "pool":
        needs["an engine of a worker"] = engine_memory(shape, load, config)
    for whose, need in needs.items():
        if config.device_gb is not None and need.total > (1 - LEFT) * config.device_gb * 1e9:
            raise BadInput(
                f"{stage} can't fit its device",
                where=f"device_gb: found {need.total / 1e9:.1f} GB wanted by {whose} of {config.fewest}, wanted at "
                f"most {(1 - LEFT) * config.device_gb:.1f} of {config.device_gb:g}; most of it {need.largest}",
                next="; ".join(_remedies(need.largest, config)),
            )


def _remedies(largest: str, config: TrainingConfig) -> list[str]:
    match largest:
        case "answers":
            return ["lower rows, max_slices, max_boxes or max_tokens"]
        case "pictures":
            return ["lower group, images, volumes or max_slices, or raise the fewest workers"]
        case "reference":
            return ["set kl none, or take tune lora"]
        case "activations":
            again = [] if config.checkpointing else ["set checkpointing"]
            again += ["lower group, max_slices or max_tokens"] if isinstance(config, RlConfig) else []
            return [f"lower micro_tokens (now {config.micro_tokens})", *again]
    raised = "raise the fewest workers" if config.parallel == "fsdp2" else "take parallel fsdp2 and more workers"
    return [raised, "or take tune lora" if config.tune == "full" else "or lower lora.rank, or take a smaller base"]


def _workers(config: TrainingConfig) -> str:
    fixed = config.fewest == config.most
    return f"{config.most} workers" if fixed else f"{config.fewest} to {config.most} workers"
