"""A clone in miniature: git, DVC, a small world as its stages, and the real evaluation."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
MADE = "from pathlib import Path; from tests.components import world; world."

STAGES = {
    "consistency": {
        "cmd": "python -m components.evaluation.consistency",
        "deps": ["data", "checkpoints/rl", "results/evaluate/traces.jsonl.gz"],
        "params": ["consistency"],
        "metrics": [{"results/consistency/metrics.json": {"cache": False}}],
    },
    "confidence": {
        "cmd": "python -m components.evaluation.confidence",
        "deps": ["data", "checkpoints/rl"],
        "params": ["confidence"],
        "outs": [{"results/confidence/calibration.json": {"cache": False}}],
        "metrics": [{"results/confidence/metrics.json": {"cache": False}}],
    },
    "evaluate": {
        "cmd": "python -m components.evaluation.run",
        "deps": ["data", "checkpoints/sft", "checkpoints/rl"],
        "params": ["evaluate"],
        "outs": ["results/evaluate/traces.jsonl.gz", {"results/evaluate/table.md": {"cache": False}}],
        "metrics": [{"results/evaluate/metrics.json": {"cache": False}}],
    },
    "rl": {
        "cmd": f"python -c \"{MADE}checkpoint(Path('checkpoints/rl'), 1)\"",
        "deps": ["checkpoints/sft"],
        "outs": ["checkpoints/rl"],
    },
    "sft": {
        "cmd": f"python -c \"{MADE}checkpoint(Path('checkpoints/sft'), 0)\"",
        "deps": ["data"],
        "outs": ["checkpoints/sft"],
    },
    "data": {"cmd": f"python -c \"{MADE}data(Path('data'))\"", "outs": ["data"]},
}
PARAMS = {
    "evaluate": {"draws": 200, "max_tokens": 16, "threads": 1},
    "confidence": {"fit": "reference", "questions": 2, "samples": 1, "draws": 200, "threads": 1},
    "consistency": {"draws": 200, "threads": 1},
    "drift": {"max_tokens": 16},
}


def make(folder: Path) -> Path:
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder
