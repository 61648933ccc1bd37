"""SFT and GRPO updates of Qwen2.5-VL's 3B and 7B shapes on a GPU, with our rows and without.

    python -m components.bench.gpu_training [3B 7B]     needs CUDA; writes results/bench/gpu/training.json
    python -m components.bench.gpu_training --cpu       a small model, to see that the script works; writes tiny.json

Weights are random, bfloat16, all of the language model trained by AdamW; 32 slices of 252 px, dictated answers.

    ours    rows end to end, a study once for all its answers, FlexAttention by blocks, the head at trained tokens in
            chunks; SFT encodes each study once a step, GRPO keeps the rollout's visual tokens
    peer    transformers' own forward: an answer a row, the tower in every pass, causal SDPA, the head on every token

Both checkpoint activations. Tokens a second are those that separate rows hold, so that they compare; MFU is of the
arithmetic each way needs (`flops`). Rollouts are another figure's: here the update alone.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from components.bench import flops, paper, tuning
from components.bench.dictation import Dictated, dictated, noise, rounds
from components.bench.flops import PerToken
from components.bench.run import BenchConfig
from components.bench.tuning import Sample
from components.stage import command
from components.tracking import commit
from components.training.meter import peak_of
from components.training.profiles import QWEN_3B, QWEN_7B
from components.training.shapes import PUBLISHED
from model.imaging.crop import crop
from model.interface import grammar
from model.interface.boxes import Box
from model.interface.errors import BadInput, Failure
from model.interface.prompt import question_text
from model.interface.writing import write_text
from model.learning.losses import cross_entropy, target_logprobs
from model.learning.objectives import Clip, token_clipped
from model.learning.packing import Row, pack_end_to_end
from model.vlm import checkpoint as folders
from model.vlm.backbone import TinySize, freeze_tower, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.recompute import checkpointing
from model.vlm.regions import features_of, inject
from model.vlm.tokens import Strip, ask, open_study
from model.vlm.tower import grid_of

STUDIES, ANSWERS = 4, 8
"""Of an SFT step: studies, and questions about each; of a GRPO step: groups, and samples of each."""
STEPS = 2
SIZES = {"3B": QWEN_3B, "7B": QWEN_7B}
SMALL = TinySize(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, tower_hidden=32, tower_layers=2, tower_heads=2)
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05}
"""Largest relative difference of the gradients that are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A study and the answers about it, laid out."""

    row: Row
    """Without features."""
    samples: list[Sample]
    """The same, an answer a row, with what each shows."""
    pictures: list[np.ndarray]
    """Slices, then crops, as the row shows them."""
    advantages: list[float]


def run(config: BenchConfig, names: Sequence[str] = (), *, cpu: bool = False) -> dict[str, Any]:
    """Measure the named shapes, both by default, and write; what the file holds. Raises BadInput without CUDA, and for
    a shape that isn't known."""
    if not cpu and not torch.cuda.is_available():
        raise BadInput(
            "this figure needs a GPU",
            where="torch.cuda.is_available(): found False, wanted True",
            next="python -m components.bench.gpu_training --cpu, to see that the script works",
        )
    if unknown := [name for name in names if name not in SIZES]:
        raise BadInput(
            f"no shape '{unknown[0]}'", where="components.bench.gpu_training", next=f"one of: {', '.join(SIZES)}"
        )
    device = torch.device("cpu" if cpu else "cuda")
    tree: dict[str, Any] = {
        "device": "CPU" if cpu else torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "commit": commit(),
        "command": f"python -m components.bench.gpu_training{' --cpu' * cpu}",
    }
    tokenizer = folders.load(config.checkpoint).tokenizer
    for name in ["small"] if cpu else names or SIZES:
        contract = paper.CONTRACT.model_copy(update={"slices": 3, "volume_side": 56} if cpu else {})
        vlm = tiny(contract, tokenizer, SMALL, seed=0) if cpu else shape(name, tokenizer, device)
        tree[name] = measured(Checkpoint(vlm, tokenizer, contract, ""))
        sys.stderr.write(f"{name}: {json.dumps(tree[name])}\n")
        del vlm
        torch.cuda.empty_cache()
    write_text(config.out / "gpu" / ("tiny.json" if cpu else "training.json"), json.dumps(tree, indent=1) + "\n")
    return tree


def shape(name: str, tokenizer: Any, device: torch.device) -> Any:
    """A Qwen2.5-VL of that size with random weights, bfloat16, windows in its tower."""
    token = tokenizer.convert_tokens_to_ids
    told = PUBLISHED[SIZES[name]]
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    config = Qwen2_5_VLConfig(
        text_config=told["text_config"]
        | {"rope_parameters": rope, "bos_token_id": None, "eos_token_id": token("<|im_end|>")},
        vision_config=told["vision_config"],
        tie_word_embeddings=told["tie_word_embeddings"],
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
    torch.manual_seed(0)
    with device:
        return Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16).eval()


def measured(checkpoint: Checkpoint) -> dict[str, Any]:
    """Both stages, both ways: equal gradients first, then their costs."""
    freeze_tower(checkpoint.vlm)
    told = [told_of(checkpoint, seed) for seed in range(STUDIES)]
    one = PerToken.of(checkpoint.vlm)
    tree: dict[str, Any] = {
        "parameters": sum(p.numel() for p in checkpoint.vlm.parameters()),
        "flops_per_token": asdict(one),
        "prompt": len(told[0].row.shared),
        "answers": [len(branch) for branch in told[0].row.branches],
    }
    for stage in ("sft", "grpo"):
        kept = [encoded(checkpoint, t) for t in told] if stage == "grpo" else None
        ways = {"ours": partial(ours, checkpoint, told, stage, kept), "peer": partial(peer, checkpoint, told, stage)}
        tree[stage] = {"equal": _agree(checkpoint, ways)}
        for way, gradient in ways.items():
            needed = _flops(checkpoint, one, told, stage, way)
            tree[stage][way] = _cost(checkpoint, gradient, sum(len(s.ids) for t in told for s in t.samples), needed)
        tree[stage]["ratio"] = round(tree[stage]["peer"]["seconds"] / tree[stage]["ours"]["seconds"], 2)
    return tree


def ours(checkpoint: Checkpoint, told: Sequence[Told], stage: str, kept: Sequence[list[Tensor]] | None) -> None:
    """Adds up the gradients of a step. kept: visual tokens that are there already."""
    device, tokens = _device(checkpoint), _tokens(told)
    for place, study in enumerate(told):
        features = kept[place] if kept else encoded(checkpoint, study)
        row = Row(study.row.shared, study.row.branches, features, study.advantages if stage == "grpo" else [])
        packed = pack_end_to_end([row]).to(device)
        with checkpointing(checkpoint.vlm):
            logprobs = target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary)
        _loss(logprobs, packed.weights, tokens, stage).backward()


def peer(checkpoint: Checkpoint, told: Sequence[Told], stage: str) -> None:
    """The same, a pass an answer."""
    vlm, device, tokens = checkpoint.vlm, _device(checkpoint), _tokens(told)
    banned = torch.tensor(checkpoint.vocabulary.never_sampled, device=device)
    vlm.model.language_model.config._attn_implementation = "sdpa"
    for study in told:
        for sample, advantage in zip(study.samples, study.advantages, strict=True):
            batch = {k: v.to(device) for k, v in tuning.collated([sample], checkpoint.contract).items()}
            labels = batch.pop("labels")[:, 1:]
            batch["pixel_values"] = batch["pixel_values"].to(next(vlm.parameters()).dtype)
            with checkpointing(vlm):
                scores = vlm(**batch, use_cache=False).logits[:, :-1].float().index_fill(-1, banned, float("-inf"))
            trained = labels != -100
            logprobs = scores.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0][trained]
            weights = torch.full_like(logprobs, advantage if stage == "grpo" else 1.0)
            _loss(logprobs, weights, tokens, stage).backward()


def told_of(checkpoint: Checkpoint, seed: int) -> Told:
    """Answers about a volume of noise, one to three boxes each, laid out as rollouts would have been."""
    random, contract = np.random.default_rng(seed), checkpoint.contract
    prepared = noise(contract, random)
    said = [
        dictated(prepared, paper.ASKED[k % len(paper.ASKED)], 1 + k % 3, checkpoint.vocabulary, random)
        for k in range(ANSWERS)
    ]
    slices = list(prepared.slices)
    shared = open_study(checkpoint.vocabulary, [grid_of(p.shape, contract) for p in slices], 3, contract)
    laid = [_branch(checkpoint, shared, one) for one in said]
    samples = []
    for branch, crops in laid:
        ids = torch.tensor(shared.ids + branch.ids)
        trained = torch.tensor(shared.trained + branch.trained)
        is_picture = torch.tensor(shared.is_picture + branch.is_picture)
        samples.append(Sample(ids, is_picture, ids.masked_fill(~trained, -100), [*slices, *crops]))
    advantages = [1.0 if k % 2 else -1.0 for k in range(ANSWERS)]
    pictures = [*slices, *(p for _, crops in laid for p in crops)]
    return Told(Row(shared, [branch for branch, _ in laid], []), samples, pictures, advantages)


def encoded(checkpoint: Checkpoint, told: Told) -> list[Tensor]:
    return features_of(checkpoint.vlm, told.pictures, checkpoint.contract)


def _branch(checkpoint: Checkpoint, shared: Strip, said: Dictated) -> tuple[Strip, list[np.ndarray]]:
    vocabulary = checkpoint.vocabulary
    branch, shown = ask(shared, vocabulary, question_text(said.question, ())), []
    for words in rounds(said.ids, vocabulary.box_close):
        branch.write(words, trained=True)
        box = grammar.last_box(vocabulary.text(words))
        if isinstance(box, Box):
            crops = crop(said.prepared, box, checkpoint.contract)
            inject(branch, crops, checkpoint.contract, vocabulary)
            shown += crops
    return branch, shown


def _loss(logprobs: Tensor, weights: Tensor, tokens: int, stage: str) -> Tensor:
    """GRPO is on-policy: what was likely then is what is likely now."""
    if stage == "sft":
        return cross_entropy(logprobs, weights, tokens)
    return -token_clipped(logprobs, logprobs.detach(), weights, Clip()).sum() / tokens


def _agree(checkpoint: Checkpoint, ways: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Relative difference of the gradients of one layer in the middle and the embeddings. Raises Failure past it."""
    language = checkpoint.vlm.model.language_model
    some = [language.layers[len(language.layers) // 2].self_attn.q_proj.weight, language.embed_tokens.weight]
    found = {}
    for way, gradient in ways.items():
        checkpoint.vlm.zero_grad(set_to_none=True)
        gradient()
        found[way] = [p.grad.float().cpu() for p in some if p.grad is not None]
    checkpoint.vlm.zero_grad(set_to_none=True)
    apart = max(float((a - b).norm() / b.norm()) for a, b in zip(found["ours"], found["peer"], strict=True))
    allowed = TOLERANCE[some[0].dtype]
    if not apart <= allowed:
        raise Failure(
            "the two ways disagree, so their costs can't be compared",
            where=f"relative difference of gradients {apart:.2g}, wanted at most {allowed:g}",
            next="pytest tests/model/learning tests/model/vlm",
        )
    return {"relative_difference": apart, "tolerance": allowed}


def _cost(checkpoint: Checkpoint, gradient: Callable[[], None], tokens: int, needed: float) -> dict[str, float | None]:
    """Of whole steps with AdamW, the least of `STEPS` after one that warms up."""
    device = _device(checkpoint)
    trained = [p for p in checkpoint.vlm.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0, fused=device.type == "cuda")
    seconds = []
    for turn in range(1 + STEPS):
        if turn == 1 and device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = _now(device)
        gradient()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        seconds.append(_now(device) - began)
    least, peak = min(seconds[1:]), peak_of(device)
    return {
        "seconds": round(least, 4),
        "first_seconds": round(seconds[0], 4),
        "tokens_per_second": round(tokens / least, 1),
        "tflops_needed": round(needed / 1e12, 4),
        "mfu": round(needed / least / peak, 4) if peak else None,
        "peak_gb": round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if device.type == "cuda" else None,
    }


def _flops(checkpoint: Checkpoint, one: PerToken, told: Sequence[Told], stage: str, way: str) -> float:
    patch, windows = checkpoint.contract.patch, checkpoint.vlm.model.visual.config.window_size
    together = (windows // patch) ** 2  # most blocks look inside windows; the few that don't are left out

    def patches(pictures: Sequence[np.ndarray]) -> int:
        return sum(p.shape[0] * p.shape[1] // patch**2 for p in pictures)

    if way == "ours":
        pictures = sum(patches(t.pictures) for t in told) if stage == "sft" else 0
        return flops.of_rows(one, [t.row for t in told]) + flops.of_pictures(one, pictures, together)
    alone = [Row(t.row.shared, [branch], []) for t in told for branch in t.row.branches]
    pictures = sum(patches(s.pictures) for t in told for s in t.samples)
    return flops.of_rows(one, alone, head_everywhere=True) + flops.of_pictures(one, pictures, together)


def _tokens(told: Sequence[Told]) -> int:
    return sum(sum(branch.trained) for t in told for branch in t.row.branches)


def _device(checkpoint: Checkpoint) -> torch.device:
    return next(checkpoint.vlm.parameters()).device


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    named = [name for name in arguments if name != "--cpu"]
    sys.exit(command("bench", BenchConfig, partial(run, names=named, cpu="--cpu" in arguments)))
