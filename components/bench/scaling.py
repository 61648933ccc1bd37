"""How costs grow: tokens a second and memory against slices, rounds and samples, and what the n-th question costs.

    python -m components.bench.scaling

On the model and geometry of `paper`, one thread, CPU seconds. Writes results/bench/scaling/scaling.json and .png. The
peer (`dictation.rereading`) is measured where a run takes less than a minute, and drawn only there.
"""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from components.bench import paper
from components.bench.dictation import Dictated, answered, dictated, noise, opened, rereading
from components.bench.measure import measured
from components.bench.run import BenchConfig, machine
from components.stage import command
from components.tracking import commit
from model.interface.writing import replacing, write_text
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask

SLICES, ROUNDS, SAMPLES = (8, 16, 32), (0, 1, 2, 3), (1, 2, 4, 8)
PEERS_SAMPLES = (1, 2)
QUESTIONS = 8


def run(config: BenchConfig) -> dict[str, Any]:
    """Measure, write and draw; what scaling.json holds."""
    torch.set_num_threads(1)
    checkpoint = folders.load(config.checkpoint)
    large = paper.paper_model(checkpoint)
    _ours(large, _said(large, 1, 1))  # oneDNN compiles for each new shape
    tree: dict[str, Any] = {"slices": [], "rounds": [], "samples": []}
    for slices in SLICES:
        fewer = paper.paper_model(checkpoint, paper.CONTRACT.model_copy(update={"slices": slices}))
        tree["slices"].append({"slices": slices} | _both(fewer, _said(fewer, 1, 1), peer=True))
    for rounds in ROUNDS:
        tree["rounds"].append({"rounds": rounds} | _both(large, _said(large, rounds, 1), peer=True))
    for samples in SAMPLES:
        row = _both(large, _said(large, 1, samples), peer=samples in PEERS_SAMPLES)
        tree["samples"].append({"samples": samples} | row)
    tree["nth_question_seconds"] = nth_question(large)
    tree |= {"machine": machine(), "commit": commit(), "command": "python -m components.bench.scaling"}
    place = config.out / "scaling"
    write_text(place / "scaling.json", json.dumps(tree, indent=1) + "\n")
    with replacing(place / "scaling.png") as part:
        draw(tree).savefig(part, format="png", dpi=110, metadata={"Software": None})
    return tree


def nth_question(large: Checkpoint) -> list[float]:
    """CPU seconds of each of several questions, a box each, asked one after another about one open study."""
    random = np.random.default_rng(4)
    prepared = noise(large.contract, random)
    engine, (study,) = opened(large, [prepared])
    seconds = []
    for n in range(QUESTIONS):
        said = [dictated(prepared, paper.ASKED[n % len(paper.ASKED)], 1, large.vocabulary, random)]

        def one(said: list[Dictated] = said) -> Tensor:
            answered(engine, [Ask(study, said[0].question)], said, {})
            return torch.zeros(())

        seconds.append(round(measured(one)[2], 3))
    return seconds


def _said(large: Checkpoint, rounds: int, samples: int) -> list[Dictated]:
    random = np.random.default_rng(5)
    prepared = noise(large.contract, random)
    return [dictated(prepared, paper.ASKED[0], rounds, large.vocabulary, random) for _ in range(samples)]


def _ours(large: Checkpoint, said: Sequence[Dictated]) -> Tensor:
    engine, (study,) = opened(large, [said[0].prepared])
    answered(engine, [Ask(study, one.question) for one in said], said, {})
    return torch.zeros(())


def _both(large: Checkpoint, said: Sequence[Dictated], *, peer: bool) -> dict[str, Any]:
    tokens = sum(len(one.ids) for one in said)
    row = {"ours": _cost(lambda: _ours(large, said), tokens)}
    if peer:
        row["peer"] = _cost(lambda: torch.cat([rereading(large, one) for one in said]), tokens)
    return row


def _cost(work: Callable[[], Tensor], tokens: int) -> dict[str, float | int | None]:
    _, peak_mb, seconds = measured(work)
    return {"seconds": round(seconds, 2), "tokens_per_second": round(tokens / seconds, 2), "peak_mb": peak_mb}


def draw_costs(
    axes: Sequence[Any], points: Sequence[dict[str, Any]], key: str, told: str, cost: dict[str, str]
) -> None:
    """Two plots over what grows, both ways in each: a cost (its name: its words), and below it the peak of memory."""
    for place, (name, words) in zip(axes, (cost | {"peak_mb": "peak MB"}).items(), strict=True):
        for who, colour in (("ours", "C0"), ("peer", "C1")):
            found = [(point[key], point[who][name]) for point in points if who in point]
            place.plot(*zip(*found, strict=True), "o-", color=colour, label=who)
        place.set(xlabel=told, ylabel=words, ylim=(0, None))


def draw(tree: dict[str, Any]) -> Any:
    """A column each for slices, rounds and samples, tokens a second above peak memory; then the n-th question."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6), layout="constrained")
    axes = figure.subplots(2, 4)
    for column, name in enumerate(("slices", "rounds", "samples")):
        draw_costs(axes[:, column], tree[name], name, name, {"tokens_per_second": "sampled tokens / CPU s"})
    axes[0, 0].legend()
    seconds = tree["nth_question_seconds"]
    axes[0, 3].bar(range(1, len(seconds) + 1), seconds, color="C0")
    axes[0, 3].set(xlabel="n-th question on an open study", ylabel="CPU s")
    axes[1, 3].axis("off")
    return figure


if __name__ == "__main__":
    sys.exit(command("bench", BenchConfig, run))
