"""The GRPO family: what a sampled token adds to the loss, each function by its paper's equation.

    loss = - sum over sampled tokens of  share x surrogate(new, old, advantage) - kl_share x kl_beta x KL

             advantage          share of a token in the step        surrogate
    grpo     (r - mean) / std   1 / (answers x the answer's tokens)  token ratio, clipped      arXiv 2402.03300
    dr_grpo  r - mean           1 / tokens, or of a fixed budget     token ratio, clipped      arXiv 2503.20783
    dapo     (r - mean) / std   1 / tokens                           token ratio, clipped      arXiv 2503.14476
    gspo     (r - mean) / std   1 / (answers x the answer's tokens)  answer ratio, clipped     arXiv 2507.18071
    cispo    (r - mean) / std   1 / tokens                           clipped ratio as a weight arXiv 2506.13585

Answers and tokens are counted over all micro-batches and workers, so no way of dividing a step changes its gradient.
Flat groups and truncated answers (DAPO's overlong filtering, section 3.4) aren't counted: they neither move nor dilute.
Tensors are float[T], a sampled token each, the tokens of an answer one after the other; logs are natural.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Objective = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo"]


@dataclass(frozen=True, slots=True)
class Clip:
    """How far a ratio may go from 1 to either side; asymmetric as in DAPO (eq. 10)."""

    low: float = 0.2
    high: float = 0.28


CLIPS: dict[Objective, Clip] = {"gspo": Clip(3e-4, 4e-4), "cispo": Clip(1.0, 4.0)}
"""Of objectives whose ratios want another range than `Clip()`. GSPO's is its paper's (section 5.1), for ratios of whole
answers. CISPO's has no bound below, as in its paper, which doesn't tell the one above: a weight of at most 5, in the
middle of what ScaleRL tried (arXiv 2510.13786)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a whole step: answers that are whole, in groups that aren't flat."""

    answers: float
    tokens: float
    """Sampled ones of those answers."""
    moving: float
    """The same, of those answers whose advantage isn't 0."""


def divided_by_std(objective: Objective) -> bool:
    return objective != "dr_grpo"


def clip_of(objective: Objective) -> Clip:
    """Where nothing else is said."""
    return CLIPS.get(objective, Clip())


def share(objective: Objective, length: int, counts: Counts, budget: int | None = None) -> float:
    """What each of an answer's tokens counts. length: its tokens; budget: Dr. GRPO's constant, tokens an answer.

    GRPO eq. 3 and GSPO eq. 5: mean over answers of the mean over tokens. DAPO eq. 8 and CISPO eq. 4: mean over all
    tokens. Dr. GRPO (section 3.2): the length is in no denominator; where no budget is given, the mean over the tokens
    that move.
    """
    match objective:
        case "grpo" | "gspo":
            return 1 / (max(counts.answers, 1) * max(length, 1))
        case "dapo" | "cispo":
            return 1 / max(counts.tokens, 1)
        case "dr_grpo":
            return 1 / (max(counts.answers, 1) * budget) if budget else 1 / max(counts.moving, 1)


def kl_share(objective: Objective, length: int, counts: Counts) -> float:
    """What the KL of each of an answer's tokens counts: over a step these sum to 1.

    As the objective's own, but Dr. GRPO's, whose paper has no KL (section 3.2): answers that earned just the mean are
    held to the reference as well, so the mean is over all tokens, not over those that move or a budget.
    """
    return 1 / max(counts.tokens, 1) if objective == "dr_grpo" else share(objective, length, counts)


def surrogate(
    objective: Objective, new: Tensor, old: Tensor, advantages: Tensor, lengths: Sequence[int], clip: Clip
) -> Tensor:
    """float[T], to be made large. lengths: tokens of each answer."""
    match objective:
        case "gspo":
            return answer_clipped(new, old, advantages, lengths, clip)
        case "cispo":
            return clipped_weight(new, old, advantages, clip)
        case _:
            return token_clipped(new, old, advantages, clip)


def token_clipped(new: Tensor, old: Tensor, advantages: Tensor, clip: Clip) -> Tensor:
    """min(ratio A, clip(ratio) A) of each token (GRPO, eq. 3; PPO, arXiv 1707.06347 eq. 7)."""
    return _pessimistic((new - old).exp(), advantages, clip)


def answer_clipped(new: Tensor, old: Tensor, advantages: Tensor, lengths: Sequence[int], clip: Clip) -> Tensor:
    """The same with one ratio an answer, the geometric mean of its tokens' (GSPO, eq. 5 and 7).

    Its ratios stray far less from 1, see `CLIPS`.
    """
    answers = (new - old).split(list(lengths))
    ratio = torch.cat([gaps.mean().exp().expand(len(gaps)) for gaps in answers if len(gaps)])
    return _pessimistic(ratio, advantages, clip)


def clipped_weight(new: Tensor, old: Tensor, advantages: Tensor, clip: Clip) -> Tensor:
    """Log-likelihood weighted by the clipped ratio, which is held fixed: no token loses its gradient (CISPO, eq. 4, 5).

    The paper sets no bound below, which is `Clip.low` of 1.
    """
    return (new - old).exp().clamp(1 - clip.low, 1 + clip.high).detach() * advantages * new


def corrected_k3(new: Tensor, old: Tensor, reference: Tensor) -> Tensor:
    """KL(policy || reference) of each token, from what the old policy sampled; its gradient is the exact KL's.

    k3 alone, taken as a loss, has the gradient of KL(reference || policy) instead; the ratio in front, through which
    the gradient flows too, mends it (DeepSeek-V3.2, arXiv 2512.02556, unbiased KL estimate).
    """
    gap = reference - new
    return (new - old).exp() * (gap.exp() - gap - 1)


def truncated_weights(trainer: Tensor, sampler: Tensor, cap: float) -> Tensor:
    """Truncated importance sampling: what a token of another engine counts, at most `cap` (Ionides, 2008).

    trainer, sampler: log-probabilities under the trainer's and the engine's arithmetic of one and the same weights.
    """
    return (trainer - sampler).detach().exp().clamp(max=cap)


def _pessimistic(ratio: Tensor, advantages: Tensor, clip: Clip) -> Tensor:
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip.low, 1 + clip.high) * advantages)
