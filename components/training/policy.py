"""The update: what a step's groups earned becomes one step of the optimiser, or several.

    counts over all workers -> each micro-batch: log-probabilities now, loss, backward -> gradients summed -> step

Flat groups are left out, and truncated answers weigh nothing. No pass is spent on old log-probabilities: the engine of
this process left them with its tokens, and where a pool's engines did, the first update's own are taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from components.training.gradients import clip_gradients, finite, most, sum_gradients, total
from components.training.groups import FIGURES, Group
from components.training.meter import Meter
from components.training.rl_config import RlConfig
from components.training.sampler import micro_batches
from components.training.sharding import in_step
from components.training.strategies import arithmetic, passing
from model.learning.losses import target_logprobs
from model.learning.objectives import (
    Counts,
    corrected_k3,
    divided_by_std,
    kl_share,
    share,
    surrogate,
    truncated_weights,
)
from model.learning.packing import Packed, Row, joined, pack_on
from model.learning.reference import Reference
from model.vlm.checkpoint import Checkpoint

SUMS: tuple[str, ...] = ("tokens", "ratio", "kl", "kl_reference", "weight", "weight_squared")


@dataclass(slots=True)
class Answer:
    """A branch of a row, and what the loss has to know about it."""

    sampled: Tensor
    """float32[tokens]: log-probabilities as they were drawn."""
    truncated: bool
    old: Tensor
    """The same before the first update: as drawn, or under the trainer's own arithmetic where a pool drew them."""


class Update:
    """One step's answers, as many times as the config says."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        groups: list[Group],
        config: RlConfig,
        reference: Reference | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.checkpoint, self.groups, self.config, self.reference = checkpoint, groups, config, reference
        self.device = next(checkpoint.vlm.parameters()).device
        self.meter = meter or Meter(checkpoint.vlm)
        useful = [group for group in groups if not group.flat]
        rows = [group.row(divided=divided_by_std(config.objective)) for group in useful]
        self.rows = [row for row, _ in joined(rows, config.micro_tokens)]
        self.answers: dict[int, Answer] = {}
        for rollout in (rollout for group in useful for rollout in group.rollouts):
            sampled = torch.tensor(rollout.logprobs, device=self.device)
            self.answers[id(rollout.branch)] = Answer(sampled, rollout.truncated, sampled)
        whole = [(len(answer.sampled), weight) for answer, weight in self._branches(self.rows) if not answer.truncated]
        moving = sum(length for length, weight in whole if weight)
        self.counts = Counts(*total(len(whole), sum(length for length, _ in whole), moving))
        self.off_policy = 0.0
        """Largest gap between sampling and the first update, natural log; this worker's."""
        self.sums = dict.fromkeys(SUMS, 0.0)
        """SUMS over this worker's tokens, of the last update."""

    def _branches(self, rows: list[Row]) -> list[tuple[Answer, float]]:
        """An added row that keeps workers in step (`sharding.in_step`) has an answer that weighs nothing."""
        idle = Answer(torch.zeros(1, device=self.device), True, torch.zeros(1, device=self.device))
        return [
            (self.answers.get(id(branch), idle), weight)
            for row in rows
            for branch, weight in zip(row.branches, row.weights, strict=True)
        ]

    def run(self, trained: list[torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> dict[str, float]:
        """Figures over all workers. Raises FloatingPointError where a gradient isn't finite."""
        for i in range(self.config.updates):
            self.sums = dict.fromkeys(SUMS, 0.0)
            batches = micro_batches(self.rows, self.config.micro_tokens)
            for micro in in_step(batches, trained, self.checkpoint.vocabulary):
                with self.meter("update"):
                    self._loss(micro, first=i == 0).backward()
            self.meter.count(self.rows)
            with self.meter("sync"):
                sum_gradients(trained)
            if not finite(trained):
                raise FloatingPointError("the gradient is not finite; the last checkpoint is kept")
            if self.counts.moving:
                clip_gradients(trained, 1.0)
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return self._figures()

    def _loss(self, micro: list[Row], *, first: bool) -> Tensor:
        """This micro-batch's share of the step's loss."""
        config, vocabulary, branches = self.config, self.checkpoint.vocabulary, self._branches(micro)
        lengths = [len(answer.sampled) for answer, _ in branches]
        packed = pack_on(self.device, micro)
        reference = self._reference(packed)
        with passing(self.checkpoint.vlm, config):
            new = target_logprobs(self.checkpoint.vlm, packed, vocabulary)
        sampled = torch.cat([answer.sampled for answer, _ in branches])
        idle = id(micro[0].branches[0]) not in self.answers
        if first and not idle:
            self.off_policy = max(self.off_policy, float((new.detach() - sampled).abs().max()))
        if first and config.rollout == "pool":
            for (answer, _), now in zip(branches, new.detach().split(lengths), strict=True):
                answer.old = now
        old = torch.cat([answer.old for answer, _ in branches])
        budget = config.max_tokens if config.denominator == "constant" else None
        cut = [answer.truncated for answer, _ in branches]
        shares = self._spread(cut, lengths, lambda length: share(config.objective, length, self.counts, budget))
        weights = truncated_weights(old, sampled, config.tis_cap) if config.rollout == "pool" else None
        gain = surrogate(config.objective, new, old, packed.weights, lengths, config.clipped)
        kl = None if reference is None else corrected_k3(new, old, reference)
        if weights is not None:
            shares = shares * weights
        loss = -(gain * shares).sum()
        if kl is not None:
            held = self._spread(cut, lengths, lambda length: kl_share(config.objective, length, self.counts))
            loss = loss + config.kl_beta * (kl * (held if weights is None else held * weights)).sum()
        if not idle:
            self._note(new.detach() - sampled, kl, weights)
        return loss

    def _spread(self, cut: list[bool], lengths: list[int], share: Callable[[int], float]) -> Tensor:
        """float32[T]: each token's share by its answer's length; 0 of an answer that was cut."""
        each = [0.0 if left_out else share(length) for left_out, length in zip(cut, lengths, strict=True)]
        return torch.tensor(each).repeat_interleave(torch.tensor(lengths)).to(self.device)

    def _reference(self, packed: Packed) -> Tensor | None:
        """float32[T]: in the policy's arithmetic, or rounding would count as distance."""
        if self.reference is None:
            return None
        with arithmetic(self.config, self.device):
            return self.reference.logprobs(packed, self.checkpoint.vocabulary)

    def _note(self, gap: Tensor, kl: Tensor | None, weights: Tensor | None) -> None:
        """gap: of the policy now from its sampler."""
        noted = {"tokens": torch.ones_like(gap), "ratio": gap.exp(), "kl": gap.exp() - 1 - gap}
        noted |= {} if kl is None else {"kl_reference": kl.detach()}
        noted |= {} if weights is None else {"weight": weights, "weight_squared": weights.square()}
        for name, values in noted.items():
            self.sums[name] += float(values.sum())

    def _figures(self) -> dict[str, float]:
        """Means over all workers' answers and, from `entropy` on, tokens, 0 of none; of the KLs, nats a token."""
        names = (*FIGURES, "area", "nats")
        given = total(
            sum(len(group.rollouts) for group in self.groups),
            len(self.groups),
            sum(group.flat for group in self.groups),
            *(sum(group.sums[name] for group in self.groups) for name in names),
            *(self.sums[name] for name in SUMS),
        )
        answers, groups, flat = given[:3]
        of_answers = dict(zip(names, given[3:], strict=False))
        of_tokens = dict(zip(SUMS, given[3 + len(names) :], strict=True))
        tokens = max(of_tokens["tokens"], 1)
        figures = {name: of_answers[name] / max(answers, 1) for name in FIGURES}
        figures |= {"flat": flat / max(groups, 1), "groups": groups, "tokens": self.counts.moving}
        figures["off_policy"] = most(self.off_policy)
        figures["box_area"] = of_answers["area"] / max(of_answers["boxes"], 1)
        figures["entropy"] = of_answers["nats"] / max(of_answers["length"], 1)
        figures |= {
            "ratio": of_tokens["ratio"] / tokens if of_tokens["tokens"] else 1.0,
            "kl": of_tokens["kl"] / tokens,
        }
        if self.reference:
            figures["kl_reference"] = of_tokens["kl_reference"] / tokens
        if self.config.rollout == "pool":
            figures["ess"] = of_tokens["weight"] ** 2 / max(tokens * of_tokens["weight_squared"], 1e-12)
        return figures
