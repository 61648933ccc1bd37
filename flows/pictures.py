"""Pictures of right and wrong answers, for the evaluation's run in MLflow."""

import numpy as np

from components.evaluation import traces
from components.evaluation.config import EvaluateConfig
from components.serving.picture import picture
from flows.asking import recall_answered
from flows.record import candidate_name


def examples(config: EvaluateConfig) -> dict[str, np.ndarray]:
    """By name, uint8[h, w, 3]: the first right and wrong answers of either dimension."""
    chosen = traces.examples(traces.read(config.out / traces.FILE), candidate_name(config))
    drawn = {}
    for answer in chosen:
        asked = recall_answered(answer, config)
        name = f"{'right' if answer.correct else 'wrong'}-{asked.question.dimension}d-{asked.question.id}"
        drawn[name] = np.asarray(picture(asked.trace, asked.prepared, asked.question, asked.contract))
    return drawn
