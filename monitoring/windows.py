"""Windows of studies, asked to the deployed checkpoint and turned into rows."""

from pathlib import Path

from model.imaging.prepare import prepare
from model.imaging.shards import read_questions, read_studies
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Sampling, answer
from monitoring.rows import Row, by_study, row


def rows_of(data: Path, window: str, checkpoint: Checkpoint, sampling: Sampling | None = None) -> list[Row]:
    """One row a study of the window."""
    studies = {study.id: prepare(study.volume, checkpoint.contract) for study in read_studies(data, window)}
    questions = read_questions(data, window)
    asked = [(studies[question.study], question) for question in questions]
    traces = answer(checkpoint, asked, sampling or Sampling())
    return by_study((q.study, row(t, p)) for q, t, (p, _) in zip(questions, traces, asked, strict=True))
