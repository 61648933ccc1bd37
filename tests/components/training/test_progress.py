"""A state is exact: weights, moments and every random stream come back as they were."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from components.training import progress
from components.training.progress import Position


def trained() -> tuple[nn.Module, torch.optim.AdamW]:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    return net, torch.optim.AdamW(net.parameters(), lr=0.1)


def step(net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    net(torch.randn(5, 3) * float(np.random.random())).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()


def test_what_follows_a_resume_is_what_would_have_followed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    np.random.standard_normal()  # one of a pair: numpy keeps the other
    net, optimiser = trained()
    step(net, optimiser)
    told = Position(1, 7.0, {"loss": 0.5}, {"pending": [["q-1", 3]], "seen": 4})
    progress.write(tmp_path, dict(net.named_parameters()), optimiser, told)
    step(net, optimiser)
    expected, drawn = [p.clone() for p in net.parameters()], (torch.rand(3), np.random.standard_normal(3))
    torch.manual_seed(2)
    np.random.seed(2)
    again, other = trained()
    assert progress.read(tmp_path, dict(again.named_parameters()), other) == told
    step(again, other)
    assert all(torch.equal(p, q) for p, q in zip(again.parameters(), expected, strict=True))
    assert torch.equal(torch.rand(3), drawn[0])
    assert np.array_equal(np.random.standard_normal(3), drawn[1])


def test_a_state_is_kept_by_name_whatever_the_order_of_groups(tmp_path: Path) -> None:
    net, optimiser = trained()
    step(net, optimiser)
    names = dict(net.named_parameters())
    progress.write(tmp_path, names, optimiser, Position(1))
    again, _ = trained()
    reordered = torch.optim.AdamW([{"params": [p]} for p in reversed(list(again.parameters()))], lr=0.1)
    progress.read(tmp_path, dict(again.named_parameters()), reordered)
    for name, p in again.named_parameters():
        assert torch.equal(reordered.state[p]["exp_avg"], optimiser.state[names[name]]["exp_avg"])


def test_weights_alone_can_be_read(tmp_path: Path) -> None:
    net, optimiser = trained()
    step(net, optimiser)
    progress.write(tmp_path, dict(net.named_parameters()), optimiser, Position(3))
    again, _ = trained()
    before = torch.get_rng_state()
    assert progress.read(tmp_path, dict(again.named_parameters())).step == 3
    assert all(torch.equal(p, q) for p, q in zip(again.parameters(), net.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)
