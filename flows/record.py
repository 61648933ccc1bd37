"""What a run leaves outside the stages: an MLflow run, a model version, an alias.

Made from the files the stages wrote and the md5s in dvc.lock, never from inside a stage: a stage that was up
to date did not run, and its result must be recorded all the same. Doing it again changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from components import settings, tracking
from components.evaluation import report, traces
from components.evaluation.config import AuditConfig, EvaluateConfig
from components.registry import versions
from components.registry.gate import Check, GateConfig, Verdict, judge
from components.registry.promotion import Change, promote, was_rolled_back
from model.interface.errors import Failure

LOCK = Path("dvc.lock")
SPLIT = "test"
"""The split a candidate is judged on."""
BESIDE = ("confidence", "consistency", "audit")
"""Stages whose numbers are logged with the evaluation's, where they have run."""


@dataclass(frozen=True, slots=True)
class Candidate:
    run: str
    """Its evaluation in MLflow."""
    version: int
    champion: int | None
    """Who was champion when it was judged: what a promotion expects to replace."""
    verdict: Verdict


def log(config: EvaluateConfig, pictures: Mapping[str, np.ndarray]) -> str:
    """Log the evaluation, with what other stages found out about the same checkpoint, and return its MLflow run.

    Curves that MLflow missed are sent too.
    """
    tracking.send_waiting()
    md5 = outs(LOCK)
    beside = [Path("results") / stage for stage in BESIDE if f"results/{stage}/metrics.json" in md5]
    told = {place.name: json.loads((place / "metrics.json").read_text()) for place in beside}
    more = [Path(path) for path in md5 if Path(path).parent in beside and Path(path).name != "metrics.json"]
    folder = config.checkpoints[candidate_name(config)]
    tags = {f"dvc.{path}": value for path, value in md5.items()}
    files = (config.out / name for name in ("metrics.json", "table.md", traces.FILE))
    return tracking.log_evaluation(
        "evaluate",
        key=digest([md5[str(place / "metrics.json")] for place in (config.out, *beside)]),
        metrics=report.flat(read_metrics(config)) | report.flat(told),
        tags={**tags, tracking.CKPT_MD5: md5[str(folder)], "git": tracking.commit()},
        files=[LOCK, Path("params.yaml"), *files, *more],
        pictures=pictures,
    )


def enter(config: EvaluateConfig, gate: GateConfig, run: str) -> Candidate:
    """Register the last checkpoint as challenger and judge it."""
    name = candidate_name(config)
    metrics = read_metrics(config)
    numbers, data = metrics[name][SPLIT], metrics["digests"]["data"]
    tags = {tracking.CKPT_MD5: outs(LOCK)[str(config.checkpoints[name])], "git": tracking.commit()}
    version = versions.register(config.checkpoints[name], numbers, data, run, tags)
    champion = versions.aliases().get(versions.CHAMPION)
    before = versions.numbers(champion, data) if champion else None
    verdict = judge(numbers, before, gate, read_audit(metrics["digests"]["checkpoints"][name]))
    if was_rolled_back(version):
        undone = Check("not rolled back", False, f"version {version} was, `urm promote {version}` puts it back")
        verdict = Verdict((*verdict.checks, undone))
    gated = {"gate": "passed" if verdict.passed else "refused", "gate.reasons": "; ".join(verdict.reasons)}
    tracking.tag_version(versions.MODEL, version, gated)
    return Candidate(run, version, champion, verdict)


def promote_if_passed(candidate: Candidate) -> Change | None:
    """The change, or None where the gate refused."""
    return promote(candidate.version, expect=candidate.champion) if candidate.verdict.passed else None


def candidate_name(config: EvaluateConfig) -> str:
    """The checkpoint trained last."""
    return list(config.checkpoints)[-1]


def read_metrics(config: EvaluateConfig) -> dict[str, Any]:
    return json.loads((config.out / "metrics.json").read_text())


def digest(md5s: Sequence[str]) -> str:
    """One md5 stands for itself."""
    return md5s[0] if len(md5s) == 1 else hashlib.md5(" ".join(md5s).encode()).hexdigest()


def read_audit(checkpoint: str) -> dict[str, Any] | None:
    """What the audit of this checkpoint found; None where there is none, or one of another checkpoint."""
    file = settings.load("audit", AuditConfig).out / "metrics.json"
    tree = json.loads(file.read_text()) if file.exists() else {}
    return tree if tree.get("digests", {}).get("checkpoint") == checkpoint else None


def outs(lock: Path) -> dict[str, str]:
    """md5 of every stage's outs, by path."""
    if not lock.exists():
        raise Failure("nothing has been made yet", where=str(lock), next="urm demo")
    stages = yaml.safe_load(lock.read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
