"""A training, worked out before it starts: steps, tokens, memory, the size of a state. Nothing is loaded.

    weights      float32 where they move, else in the arithmetic's type; a share of the layers under FSDP2
    gradients    float32, of what moves                     optimiser  twice that (Adam's two moments)
    activations  of the longest micro-batch: what a layer keeps for the way back (a layer's input alone under
                 checkpointing, and one layer whole), and the head's scores of what is predicted, three times
    KV           keys and values of the answers sampled together (rl)

Memory is within a tenth or so, tokens within a fifth: text is counted by characters. Not counted: the kernels' own
scratch, and what allocators lose; a run has to leave a twentieth of the device for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.training.config import TrainingConfig
from components.training.shapes import Shape, shape_of
from model.imaging import shards
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question

CHARACTERS = 3.5
"""A token of medical English has about so many."""
LEFT = 0.05
"""Share of a device that has to stay free."""
DISK_GB_S = 1.0
"""What a local SSD writes, at least; to say how long a state takes."""
KEPT_WHOLE = 12
"""Numbers of the hidden width that a layer keeps of a token, besides three of the MLP's (arXiv 2205.05198, table 2)."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run goes through, in tokens."""

    rows: str
    steps: int
    a_step: float
    """Tokens, over all workers."""
    trained: float
    """Of them, those that are predicted."""
    longest: float
    """Of a row."""
    at_once: float
    """Tokens whose keys and values a worker keeps; 0 where nothing is sampled."""
    every: int
    """Steps between states."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a worker, bytes."""

    weights: float
    gradients: float
    optimiser: float
    activations: float
    kv: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimiser + self.activations + self.kv


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
    yield f"data        {load.rows}; the longest row is about {load.longest:,.0f} tokens"
    micro = max(1, round(load.a_step / max(config.micro_tokens, load.longest)))
    yield (
        f"step        about {load.a_step:,.0f} tokens, {load.trained:,.0f} of them trained"
        f", in {micro} micro-batches over {_workers(config)}"
    )
    yield f"run         {load.steps:,} steps, about {load.steps * load.a_step:,.0f} tokens"
    yield (
        f"memory      {need.total / 1e9:.2f} GB a worker{f' of {config.device_gb:g}' if config.device_gb else ''}: "
        f"weights {need.weights / 1e9:.2f}, gradients {need.gradients / 1e9:.2f}, optimiser {need.optimiser / 1e9:.2f}"
        f", activations {need.activations / 1e9:.2f}, KV {need.kv / 1e9:.2f}"
    )
    yield (
        f"state       {state:.2f} GB every {load.every} steps, {state / DISK_GB_S:.1f} s at {DISK_GB_S:g} GB/s"
        f"; {config.keep + bool(config.best)} kept"
    )
    _refuse(stage, need, config)


def check(stage: str, start: Path, config: TrainingConfig) -> None:
    """Raises BadInput where the run can't fit the device that the config states."""
    shape = shape_of(start)
    _refuse(stage, memory(shape, load_of(shape.contract, config), config), config)


def moves(shape: Shape, config: TrainingConfig) -> int:
    """Parameters that are trained."""
    if config.tune == "full":
        return shape.language
    rows = len(config.lora.tokens) * shape.hidden
    return config.lora.rank * sum(wide + tall for wide, tall in shape.linear) + rows


def memory(shape: Shape, load: Load, config: TrainingConfig) -> Memory:
    """With the fewest workers the run may go on with."""
    wide = 2 if config.dtype == "bf16" else 4
    share = config.fewest if config.parallel == "fsdp2" else 1
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
        held += 2 * wide * shape.layers / shape.depth  # a layer at work, and the next one on its way
    inside = tokens * (KEPT_WHOLE * shape.hidden + 3 * shape.mlp) * wide
    kept = shape.depth * tokens * shape.hidden * wide + inside if config.checkpointing else shape.depth * inside
    scores = 3 * 4 * shape.vocabulary * tokens * load.trained / max(load.a_step, 1)
    mask = tokens * load.longest * (1 + wide)
    kv = 2 * shape.depth * shape.kv_width * wide * load.at_once
    return Memory(held, 4 * moving, 8 * moving, kept + scores + mask, kv)


def load_of(contract: Contract, config: Any) -> Load:
    """What the config's data is in tokens. config: of sft or of rl."""
    asked: dict[str, list[Question]] = {}
    for question in shards.read_questions(config.data, "train"):
        asked.setdefault(question.study or question.id, []).append(question)
    return _sampled(asked, contract, config) if "group" in type(config).model_fields else _told(asked, contract, config)


def _told(asked: dict[str, list[Question]], contract: Contract, config: Any) -> Load:
    """sft: a row a study, its questions branches with their teacher's words and crops."""
    rows = []
    for some in asked.values():
        said = sum(teacher_tokens(question) for question in some)
        seen = picture_tokens(some[0], contract) + sum(prompt_tokens(q) + crops_tokens(q, contract) for q in some)
        rows.append((seen + said, said))
    count = len(rows)
    kinds = [sum(bool(some[0].study) and some[0].dimension == d for some in asked.values()) for d in (2, 3)]
    per_epoch = max(1, round(count / config.studies))
    return Load(
        f"{count:,} rows: {kinds[0]:,} images, {kinds[1]:,} volumes, {count - sum(kinds):,} of text alone",
        per_epoch * config.epochs,
        config.studies * sum(length for length, _ in rows) / count,
        config.studies * sum(said for _, said in rows) / count,
        max(length for length, _ in rows),
        0,
        config.save_every,
    )


def _sampled(asked: dict[str, list[Question]], contract: Contract, config: Any) -> Load:
    """rl: a row a group, the prompt once; answers as long as they may be, with their teacher's crops."""
    closed = [q for some in asked.values() for q in some if q.options and q.study]
    by = {d: [q for q in closed if q.dimension == d] for d in (2, 3)}
    wanted = {2: config.images, 3: config.volumes}
    row = {
        d: max(picture_tokens(q, contract) + prompt_tokens(q) for q in some)
        + config.group * (config.max_tokens + sum(crops_tokens(q, contract) for q in some) / len(some))
        for d, some in by.items()
        if some and wanted[d]
    }
    a_step = sum(wanted[d] * length for d, length in row.items())
    return Load(
        f"{len(by[2]):,} questions about images, {len(by[3]):,} about volumes"
        f"; {config.images} + {config.volumes} a step, {config.group} answers each",
        config.steps,
        a_step,
        sum(wanted[d] for d in row) * config.group * config.max_tokens,
        max(row.values(), default=0.0),
        a_step / config.fewest,
        config.save_every,
    )


def teacher_tokens(question: Question) -> float:
    """What is trained: the rationale, its boxes, the answer."""
    return 20 + sum(len(remark.text) / CHARACTERS + 18 * bool(remark.box) for remark in question.rationale)


def crops_tokens(question: Question, contract: Contract) -> float:
    """Of what is shown after the teacher's boxes; a slice of a crop is as large as it may be."""
    boxes = [remark.box for remark in question.rationale if remark.box and question.study]
    slices = [min(contract.crop_slices, max(1, round(box.size[2]))) if question.dimension == 3 else 1 for box in boxes]
    return sum(slices) * ((contract.crop_side // contract.factor) ** 2 + 2)


def picture_tokens(question: Question, contract: Contract) -> float:
    """Of the study, at most, with the tags around each picture."""
    if not question.study:
        return 0
    if question.dimension == 2:
        return (contract.image_side // contract.factor) ** 2 + 2
    label = 4 * contract.slice_labels
    return contract.slices * ((contract.volume_side // contract.factor) ** 2 + 2 + label)


def prompt_tokens(question: Question) -> float:
    return (len(question.text) + sum(map(len, question.options))) / CHARACTERS + 10 + 4 * len(question.options)


def _refuse(stage: str, need: Memory, config: TrainingConfig) -> None:
    if config.device_gb is None or need.total <= (1 - LEFT) * config.device_gb * 1e9:
        return
    parts = {"weights": need.weights, "optimiser": need.gradients + need.optimiser, "activations": need.activations}
    largest = max(parts | {"kv": need.kv}, key=(parts | {"kv": need.kv}).__getitem__)
    raise BadInput(
        f"{stage} can't fit its device",
        where=f"device_gb: found {need.total / 1e9:.1f} GB wanted by a worker of {config.fewest}, "
        f"wanted at most {(1 - LEFT) * config.device_gb:.1f} of {config.device_gb:g}; most of it {largest}",
        next="; ".join(_remedies(largest, config)),
    )


def _remedies(largest: str, config: TrainingConfig) -> Sequence[str]:
    if largest == "kv":
        return ["lower group, max_tokens, images or volumes, or raise workers"]
    if largest == "activations":
        again = [] if config.checkpointing else ["set checkpointing"]
        return [f"lower micro_tokens (now {config.micro_tokens})", *again]
    raised = "raise the fewest workers" if config.parallel == "fsdp2" else "take parallel fsdp2 and more workers"
    return [raised, "or take tune lora" if config.tune == "full" else "or lower lora.rank, or take a smaller base"]


def _workers(config: TrainingConfig) -> str:
    fixed = config.fewest == config.most
    return f"{config.most} workers" if fixed else f"{config.fewest} to {config.most} workers"
