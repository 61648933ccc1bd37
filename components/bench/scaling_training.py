"""How learning costs grow: CPU seconds and memory of a GRPO update against prompt length and group size, and workers.

    python -m components.bench.scaling_training

On the model and geometry of `paper`, one thread, both ways of `updating`. The peer grows by a row a sample, so it is
measured for small groups and drawn only there. Workers are read from train_workers_2.json where that was measured.
Writes results/bench/scaling/training.json and .png.
"""

import json
import sys
from typing import Any

import torch

from components.bench import paper, workers
from components.bench.dictation import together
from components.bench.measure import measured
from components.bench.run import BenchConfig, machine
from components.bench.scaling import draw_costs
from components.bench.updating import flat, group, pictures, separate_rows, shared_row
from components.stage import command
from components.tracking import commit
from model.interface.writing import replacing, write_text
from model.vlm import checkpoint as folders
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint

SLICES, SAMPLES = (8, 16, 32), (1, 2, 4, 8)
PAIR = 2
"""Samples of the group while slices grow."""
PEERS_SAMPLES = (1, 2)


def run(config: BenchConfig) -> dict[str, Any]:
    """Measure, write and draw; what training.json holds."""
    torch.set_num_threads(1)
    checkpoint = folders.load(config.checkpoint)
    tree: dict[str, Any] = {"prompt": [], "samples": []}
    for slices in SLICES:
        contract = paper.CONTRACT.model_copy(update={"slices": slices})
        tree["prompt"].append({"slices": slices} | _both(paper.paper_model(checkpoint, contract), PAIR, peer=True))
    large = paper.paper_model(checkpoint)
    for samples in SAMPLES:
        tree["samples"].append({"samples": samples} | _both(large, samples, peer=samples in PEERS_SAMPLES))
    file = config.out / f"{workers.FIGURE}.json"
    told = json.loads(file.read_text()) if file.is_file() else {}
    tree["workers"] = {key: told[key] for key in ("samples_per_second", "ceiling", "load_average") if key in told}
    tree |= {"machine": machine(), "commit": commit(), "command": "python -m components.bench.scaling_training"}
    place = config.out / "scaling"
    write_text(place / "training.json", json.dumps(tree, indent=1) + "\n")
    with replacing(place / "training.png") as part:
        draw(tree).savefig(part, format="png", dpi=110, metadata={"Software": None})
    return tree


def _both(large: Checkpoint, samples: int, *, peer: bool) -> dict[str, Any]:
    freeze_tower(large.vlm)
    rollouts = together(large, group(large, samples))
    shown = [pictures(large, rollout) for rollout in rollouts]
    row: dict[str, Any] = {"tokens": len(rollouts[0].shared), "answers": [len(r.branch) for r in rollouts]}
    row["ours"] = _cost(lambda: flat(shared_row(large, rollouts)))
    if peer:
        row["peer"] = _cost(lambda: flat(separate_rows(large, rollouts, shown)))
    return row


def _cost(work: Any) -> dict[str, float | int | None]:
    _, peak_mb, seconds = measured(work)
    return {"seconds": round(seconds, 2), "peak_mb": peak_mb}


def draw(tree: dict[str, Any]) -> Any:
    """A column each for prompt and group, seconds above peak memory; then the workers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, 3)
    for column, (name, key) in enumerate((("prompt", "tokens"), ("samples", "samples"))):
        told = {"prompt": f"tokens of the prompt, {PAIR} samples", "samples": "samples of a group, 32 slices"}[name]
        draw_costs(axes[:, column], tree[name], key, told, {"seconds": "CPU s an update"})
    axes[0, 0].legend()
    speeds = tree["workers"].get("samples_per_second", {})
    axes[0, 2].bar(list(speeds), list(speeds.values()), color="C0")
    axes[0, 2].set(xlabel="workers", ylabel="SFT samples / s")
    if "ceiling" in tree["workers"]:
        axes[0, 2].axhline(tree["workers"]["ceiling"] * speeds["1"], ls=":", color="grey", label="the machine's own")
        axes[0, 2].margins(y=0.3)  # room for the words above
        axes[0, 2].legend(loc="upper left")
    axes[1, 2].axis("off")
    return figure


if __name__ == "__main__":
    sys.exit(command("bench", BenchConfig, run))
