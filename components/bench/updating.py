"""What one GRPO group costs to learn from, and a whole step with its rollouts: a shared row against separate ones.

Eight samples of one question, dictated, one to three boxes each, every box answered with crops. Rewards are given too.
Neither way runs a pass for old log-probabilities: the update is on-policy, so those of the rollout are they.

    ours    one row: the study once, its visual tokens kept from the rollout, eight branches under a tree mask
    peer    a row a sample, padded; its pictures go through the tower and its prompt through the model in every pass
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from components.bench import paper
from components.bench.dictation import Dictated, dictated, logprobs, noise, rereading, together
from components.bench.measure import Comparison
from model.imaging.crop import crop
from model.learning.losses import target_logprobs
from model.learning.objectives import Clip, token_clipped
from model.learning.packing import Row, pack_on
from model.learning.rewards import advantages, ours
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.regions import features_of
from model.vlm.rollout import Rollout, trace_of

GROUP = 8
REWARDS = (1.0, 0.0, 0.8, 1.0, 0.0, -0.2, 1.0, 0.0)
"""Of a group, any that differ: they only weight tokens."""
PEER = (
    "the same loss, but each sample is a padded row of its own, its pictures encoded and its prompt run again; "
    "the head at sampled tokens and no pass for old log-probabilities, as in ours"
)
LOOP = (
    "every round of every sample encodes all pictures and prefills the whole row again (keys and values within a "
    "round), then the update of `grpo_update_g8`'s peer"
)


def grpo_update_g8(checkpoint: Checkpoint) -> Comparison:
    """The gradient of one group at the paper's geometry: 32 slices of 252 px."""
    large = paper.paper_model(checkpoint)
    return _compared(large, model=paper.told(large), once=True)


def grpo_update_g8_tiny(checkpoint: Checkpoint) -> Comparison:
    """The gradient of one group, of the embedded model: 32 slices of 64 px."""
    return _compared(checkpoint)


def grpo_step(checkpoint: Checkpoint) -> Comparison:
    """A whole step at the paper's geometry: rollout, reward, gradient, clipping and AdamW. Its learning rate is 0,
    so that both ways start from the same weights; that costs what any other does."""
    large = paper.paper_model(checkpoint)
    freeze_tower(large.vlm)
    said = group(large, GROUP)
    known = together(large, said)
    shown = [pictures(large, rollout) for rollout in known]

    def ours() -> Tensor:
        rollouts = together(large, said)
        _rewarded(large, rollouts)
        gradients = shared_row(large, rollouts)
        stepped(large, gradients)
        return torch.cat([logprobs(rollouts), flat(gradients)])

    def peer() -> Tensor:
        scores = torch.cat([rereading(large, one) for one in said])
        _rewarded(large, known)
        gradients = separate_rows(large, known, shown)
        stepped(large, gradients)
        ids = torch.tensor([token for one in said for token in one.ids])
        return torch.cat([scores.gather(-1, ids[:, None])[:, 0], flat(gradients)])

    return Comparison(ours, peer, LOOP, n=GROUP, tolerance=1e-5, once=True, model=paper.told(large))


def group(checkpoint: Checkpoint, samples: int) -> list[Dictated]:
    """Samples of one question about a volume of noise."""
    random = np.random.default_rng(1)
    prepared = noise(checkpoint.contract, random)
    return [dictated(prepared, paper.ASKED[0], 1 + k % 3, checkpoint.vocabulary, random) for k in range(samples)]


def shared_row(checkpoint: Checkpoint, rollouts: Sequence[Rollout]) -> list[Tensor]:
    """Our way to the gradient of every trained parameter."""
    features = [*rollouts[0].pictures, *(f for r in rollouts for f in r.features)]
    row = Row(rollouts[0].shared, [r.branch for r in rollouts], features, _weights(rollouts))
    return _gradient(checkpoint, row, rollouts, rollouts)


def separate_rows(
    checkpoint: Checkpoint, rollouts: Sequence[Rollout], shown: Sequence[Sequence[np.ndarray]]
) -> list[Tensor]:
    """The peer's way to it: a pass a sample. shown: of `pictures`."""
    total: list[Tensor] = []
    for rollout, weight, some in zip(rollouts, _weights(rollouts), shown, strict=True):
        features = features_of(checkpoint.vlm, some, checkpoint.contract)
        row = Row(rollout.shared, [rollout.branch], features, [weight])
        found = _gradient(checkpoint, row, [rollout], rollouts)
        total = [a.add_(b) for a, b in zip(total, found, strict=True)] if total else found
    return total


def pictures(checkpoint: Checkpoint, rollout: Rollout) -> list[np.ndarray]:
    """Everything a rollout was shown, in order."""
    crops = [p for step in rollout.steps if step.box for p in crop(rollout.prepared, step.box, checkpoint.contract)]
    return [*rollout.prepared.slices, *crops]


def stepped(checkpoint: Checkpoint, gradients: Sequence[Tensor]) -> None:
    """What an update does once it has them."""
    trained = [p for p in checkpoint.vlm.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.0, weight_decay=0.0)
    for p, gradient in zip(trained, gradients, strict=True):
        p.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def _compared(checkpoint: Checkpoint, model: str = "", *, once: bool = False) -> Comparison:
    freeze_tower(checkpoint.vlm)
    rollouts = together(checkpoint, group(checkpoint, GROUP))
    shown = [pictures(checkpoint, rollout) for rollout in rollouts]
    return Comparison(
        ours=lambda: flat(shared_row(checkpoint, rollouts)),
        peer=lambda: flat(separate_rows(checkpoint, rollouts, shown)),
        peer_is=PEER,
        n=GROUP,
        tolerance=1e-5,
        once=once,
        model=model,
    )


def _gradient(checkpoint: Checkpoint, row: Row, inside: Sequence[Rollout], group: Sequence[Rollout]) -> list[Tensor]:
    """A row's share of the group's gradient, a tensor a trained parameter. inside: the rollouts that the row holds."""
    device = next(checkpoint.vlm.parameters()).device
    packed = pack_on(device, [row])
    new = target_logprobs(checkpoint.vlm, packed, checkpoint.vocabulary)
    old = logprobs(inside).to(device)
    loss = -token_clipped(new, old, packed.weights, Clip()).sum() / sum(len(r.logprobs) for r in group)
    return list(torch.autograd.grad(loss, [p for p in checkpoint.vlm.parameters() if p.requires_grad]))


def _weights(rollouts: Sequence[Rollout]) -> list[float]:
    return advantages([REWARDS[k % GROUP] for k in range(len(rollouts))])


def _rewarded(checkpoint: Checkpoint, rollouts: Sequence[Rollout]) -> list[float]:
    return [ours(trace_of(rollout, checkpoint), rollout.question) for rollout in rollouts]
