"""The figures at the paper's size: 32 slices of 252 px, 2,700 tokens, a model large enough that reading them costs.

Random weights, 53 M parameters (35 M of them in the language model's layers), fp32; crops of at most 112 px, 4 slices a
cuboid. The peer is the loop in `dictation.rereading`: every round of every answer encodes all pictures and prefills the
whole row anew, and keeps keys and values within the round. Both say the same dictated tokens; what is compared is every
score (log-probability of every token of the vocabulary) at every place.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from components.bench.dictation import Dictated, answered, dictated, noise, opened, rereading
from components.bench.measure import Comparison
from model.interface.contract import Contract
from model.vlm.backbone import TinySize, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask
from model.vlm.rollout import Rollout

SIZE = TinySize(
    hidden=640,
    layers=8,
    heads=10,
    kv_heads=2,
    mlp=1792,
    tower_hidden=384,
    tower_layers=8,
    tower_heads=6,
    tower_mlp=1024,
)
CONTRACT = Contract(patch=14, image_side=252, volume_side=252, crop_side=112, slices=32, slice_labels=False)
MANY = 8
ASKED = (
    "left thalamus",
    "right thalamus",
    "brainstem",
    "left caudate",
    "right caudate",
    "cortex",
    "skull",
    "cerebellum",
)
PEER = (
    "every round of every answer encodes all pictures and prefills the whole row again; keys and values within a round"
)


def paper_3d_3rounds(checkpoint: Checkpoint) -> Comparison:
    """One question about a volume, answered with three boxes; opening the study is part of ours."""
    large, random = paper_model(checkpoint), np.random.default_rng(0)
    said = [dictated(noise(large.contract, random), ASKED[0], 3, large.vocabulary, random)]
    return _against(large, said, lambda heard: _all_of(large, said, heard))


def paper_8questions(checkpoint: Checkpoint) -> Comparison:
    """Eight questions about one volume, a box each, opening the study included."""
    large, random = paper_model(checkpoint), np.random.default_rng(1)
    prepared = noise(large.contract, random)
    said = [dictated(prepared, name, 1, large.vocabulary, random) for name in ASKED[:MANY]]
    return _against(large, said, lambda heard: _all_of(large, said, heard))


def paper_8samples(checkpoint: Checkpoint) -> Comparison:
    """Eight samples of one question about one volume, a box each, opening the study included."""
    large, random = paper_model(checkpoint), np.random.default_rng(2)
    prepared = noise(large.contract, random)
    said = [dictated(prepared, ASKED[0], 1, large.vocabulary, random) for _ in range(MANY)]
    return _against(large, said, lambda heard: _all_of(large, said, heard))


def paper_followup(checkpoint: Checkpoint) -> Comparison:
    """A second question, one box, after an answer with one box: the study is open and the talk goes on."""
    large, random = paper_model(checkpoint), np.random.default_rng(3)
    prepared = noise(large.contract, random)
    before, said = ([dictated(prepared, name, 1, large.vocabulary, random)] for name in ASKED[:2])
    engine, (study,) = opened(large, [prepared])
    (first,) = answered(engine, [Ask(study, before[0].question)], before, {}, keep=True)

    def ours(heard: dict) -> list[Rollout]:
        return answered(engine, [Ask(study, said[0].question, after=first)], said, heard)

    return _against(large, said, ours, first)


FIGURES: dict[str, Callable[[Checkpoint], Comparison]] = {
    figure.__name__: figure for figure in (paper_3d_3rounds, paper_followup, paper_8questions, paper_8samples)
}


def paper_model(checkpoint: Checkpoint, contract: Contract | None = None) -> Checkpoint:
    """Random weights behind the checkpoint's tokenizer."""
    contract = contract or CONTRACT
    return Checkpoint(tiny(contract, checkpoint.tokenizer, SIZE, seed=0), checkpoint.tokenizer, contract, "")


def told(large: Checkpoint) -> str:
    """What a figure says it ran on."""
    parameters = sum(p.numel() for p in large.vlm.parameters())
    return f"random weights, {parameters / 1e6:.0f} M parameters, seed 0"


def _all_of(large: Checkpoint, said: Sequence[Dictated], heard: dict) -> list[Rollout]:
    engine, (study,) = opened(large, [said[0].prepared])
    return answered(engine, [Ask(study, one.question) for one in said], said, heard)


def _against(
    large: Checkpoint,
    said: Sequence[Dictated],
    answer: Callable[[dict], list[Rollout]],
    before: Rollout | None = None,
) -> Comparison:
    def ours() -> Tensor:
        heard: dict[tuple[int, int], Tensor] = {}
        answer(heard)
        return torch.stack([heard[row, n] for row, one in enumerate(said) for n in range(len(one.ids))])

    def peer() -> Tensor:
        return torch.cat([rereading(large, one, before) for one in said])

    return Comparison(ours, peer, PEER, len(said), once=True, model=told(large))
