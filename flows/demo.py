"""`urm demo`: the loop once, then what there is to look at."""

import sys
from collections.abc import Iterator
from pathlib import Path

from components import environment, settings
from components.evaluation import traces
from components.evaluation.config import EvaluateConfig
from flows import artifacts, record
from flows.asking import recall_answered
from flows.retrain import retrain


def run() -> Iterator[str]:
    """Run the flow; lines to print."""
    environment.home()
    urm = Path(sys.executable).parent / "urm"
    outcome = retrain()
    config = settings.load("evaluate", EvaluateConfig)
    yield from (f"{stage}: {what}" for stage, what in outcome.stages.items())
    yield ""
    yield (config.out / "table.md").read_text()
    yield artifacts.promotion_line(outcome.candidate, outcome.change)
    yield from (f"window {line}" for line in artifacts.drift_lines(outcome.drift))
    yield ""
    yield f"one answer, as a page:  {write_example(config)}"
    yield f"runs, models, pictures: {urm} ui mlflow"
    yield f"the flow and its steps: {urm} ui prefect"


def write_example(config: EvaluateConfig) -> Path:
    """The first right answer about a volume, else about anything, as a page."""
    found = traces.examples(traces.read(config.out / traces.FILE), record.candidate_name(config), each=1)
    chosen = min(found, key=lambda answer: (not answer.correct, answer.trace.shape[2] == 1))
    return recall_answered(chosen, config).write_page(Path("traces/demo.html")).resolve()
