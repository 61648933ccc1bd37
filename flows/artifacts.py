"""What the Prefect page shows of a run: the results table, the gate's checks, drift, the way to MLflow."""

from collections.abc import Sequence

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from components.evaluation.config import EvaluateConfig
from components.registry.promotion import Change
from flows.record import Candidate
from monitoring.drift import Verdict


def publish(config: EvaluateConfig, candidate: Candidate, change: Change | None, drift: Sequence[Verdict]) -> None:
    table = (config.out / "table.md").read_text()
    create_markdown_artifact(f"# Results\n\n{table}\n{promotion_line(candidate, change)}\n", key="results")
    checks = [{"check": c.name, "passed": c.passed, "numbers": c.detail} for c in candidate.verdict.checks]
    create_table_artifact(checks, key="gate", description=f"Version {candidate.version} at the gate")
    create_table_artifact(
        [{"window": v.window, "status": v.status, "rows": v.rows, "columns": ", ".join(v.drifted)} for v in drift],
        key="drift",
        description="Windows against the reference",
    )
    create_link_artifact(
        f"http://127.0.0.1:5000/#/runs/{candidate.run}", key="mlflow-run", link_text="the run in MLflow"
    )


def promotion_line(candidate: Candidate, change: Change | None) -> str:
    """What became of the candidate, in one sentence."""
    if change is None:
        return f"Version {candidate.version} was refused: {'; '.join(candidate.verdict.reasons)}."
    if candidate.champion == candidate.version:
        return f"Version {candidate.version} passed the gate and already is champion."
    before = f", version {change.previous} is what a roll-back leads to" if change.previous else ""
    return f"Version {candidate.version} passed the gate and is champion{before}."


def drift_lines(drift: Sequence[Verdict]) -> list[str]:
    """A line a window."""
    return [
        f"{verdict.window}: {verdict.status}" + (f" in {', '.join(verdict.drifted[:4])}" if verdict.drifted else "")
        for verdict in drift
    ]
