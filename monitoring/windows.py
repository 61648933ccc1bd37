"""Windows of studies, asked to the deployed checkpoint, turned into rows and compared with the reference.

Here a window is a split of the data folder; the rows it gives are the ones a served checkpoint would leave.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from model.imaging.prepare import prepare
from model.imaging.shards import read_questions, read_studies
from model.interface.writing import write_text
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import answer
from model.vlm.sampling import Sampling
from monitoring.drift import DriftConfig, Verdict, check
from monitoring.rows import CATEGORICAL, NUMERICAL, Row, by_study, row


class WatchConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path("data")
    """Sealed folder of shards."""
    reference: str = "reference"
    """Split that is like training."""
    windows: tuple[str, ...] = ("steady", "shifted")
    """Splits to compare with it."""
    max_tokens: int = 160
    """Sampled tokens an answer may have."""
    drift: DriftConfig = DriftConfig()


def watch(config: WatchConfig, folder: Path, out: Path) -> list[Verdict]:
    """A verdict for each window, on the checkpoint in `folder`.

    out: reports go to `out/<window>`; rows are kept below `out/rows`, so an unchanged window isn't asked again.
    """
    seen = hashlib.sha256((config.data / "manifest.json").read_bytes()).hexdigest()
    made = hashlib.sha256(f"{seen} {config.max_tokens} {[*NUMERICAL, *CATEGORICAL]}".encode()).hexdigest()
    kept = out / "rows" / f"{folders.verify(folder)[:12]}-{made[:12]}"
    checkpoint: Checkpoint | None = None
    rows: dict[str, list[Row]] = {}
    for window in (config.reference, *config.windows):
        file = kept / f"{window}.json"
        if not file.exists():
            checkpoint = checkpoint or folders.load(folder)
            _keep(file, rows_of(config.data, window, checkpoint, Sampling(max_tokens=config.max_tokens)))
        rows[window] = json.loads(file.read_text())
    return [check(rows[config.reference], rows[name], name, config.drift, out / name) for name in config.windows]


def rows_of(data: Path, window: str, checkpoint: Checkpoint, sampling: Sampling) -> list[Row]:
    """One row a study of the window."""
    studies = {study.id: prepare(study.volume, checkpoint.contract) for study in read_studies(data, window)}
    questions = read_questions(data, window)
    asked = [(studies[question.study], question) for question in questions]
    traces = answer(checkpoint, asked, sampling)
    return by_study((q.study, row(t, p)) for q, t, (p, _) in zip(questions, traces, asked, strict=True))


def _keep(file: Path, rows: Sequence[Row]) -> None:
    write_text(file, json.dumps(rows))
