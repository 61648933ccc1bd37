"""Runs, curves, pictures, models and aliases: the one module that talks to MLflow.

Two ways in. A training stage writes `Curves`: to a file first, from there to MLflow in the
background, so that a slow or absent MLflow costs the training nothing and no point is lost. The flow
logs everything else afterwards from the files a stage left (`log_evaluation`, `register`), because a
stage that DVC finds up to date doesn't run and couldn't log. Both are idempotent: saying the same
twice leaves one run, one point, one version.

By default everything is in `.urm`: `mlflow.db` (SQLite) and `artifacts`. MLflow stores artifact
places as absolute paths, so moving that folder breaks the links in it. `MLFLOW_TRACKING_URI` leads
elsewhere.
"""

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from components import environment
from model.interface.errors import BadInput, Integrity, TryAgain
from model.interface.writing import replacing, write_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

SHIP_EVERY_S = 5.0
CLOSE_WITHIN_S = 10.0
BATCH = 1000
"""Most metrics MLflow takes in one request."""
KEY = "urm.key"
CKPT_MD5 = "dvc.ckpt_md5"
UNREACHABLE = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


class Curves:
    """Live curves of one training, written by rank 0.

    key: names the training (a digest of its params and inputs). The same key again, after a crash or
    as a second run, goes on in the same file and run; a value already logged at a step stays.
    """

    def __init__(self, stage: str, key: str, params: Mapping[str, Any]) -> None:
        import mlflow  # noqa: F401  here, not in the thread: two threads importing can deadlock

        self.file = environment.settle() / "curves" / f"{stage}-{key[:16]}.jsonl"
        self._last = _reopen(self.file, {"stage": stage, "key": key, "params": dict(params)})
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._ship_until_done, daemon=True)
        self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of a step. Costs one line in a file."""
        new = {name: float(value) for name, value in values.items() if step > self._last.get(name, -1)}
        if new:
            self._last |= dict.fromkeys(new, step)
            _append(self.file, {"step": step, "at": int(time.time() * 1000), "values": new})

    def show(self, step: int, picture: np.ndarray) -> None:
        """Add a picture uint8[h, w, 3] of a step: kept beside the curve's file, and sent with it."""
        place = _pictures(self.file) / f"step-{step:06d}.png"
        with replacing(place) as part:
            Image.fromarray(picture).save(part, "PNG")
        _append(self.file, {"step": step, "at": int(time.time() * 1000), "picture": place.name})

    def close(self) -> None:
        """Send the rest, for at most ten seconds; what isn't sent then waits for `send_waiting`."""
        _append(self.file, {"end": True})
        self._done.set()
        self._thread.join(CLOSE_WITHIN_S)

    def _ship_until_done(self) -> None:
        while True:
            last = self._done.wait(SHIP_EVERY_S)
            with suppress(TryAgain, OSError):  # the points are in the file: the next round brings them
                _ship(self.file)
            if last:
                return


def send_waiting() -> int:
    """Send every curve MLflow did not take when it was drawn; the number of files that were behind."""
    files = [file for file in sorted((environment.settle() / "curves").glob("*.jsonl")) if _sent(file) < _lines(file)]
    for file in files:
        _ship(file)
    return len(files)


@dataclass(frozen=True, slots=True)
class DataUsed:
    """A data set as MLflow lists it."""

    name: str
    digest: str
    """At most 36 letters, as MLflow wants it."""
    source: str
    """JSON: where it comes from."""

    def as_input(self) -> "DatasetInput":
        from mlflow.entities import Dataset, DatasetInput

        return DatasetInput(Dataset(self.name, self.digest, "local", self.source), [])


def log_evaluation(
    experiment: str,
    key: str,
    *,
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    files: Sequence[Path] = (),
    pictures: Mapping[str, np.ndarray] | None = None,
    data: "DataUsed | None" = None,
    params: Mapping[str, Any] | None = None,
    name: str = "",
    parent: str = "",
) -> str:
    """Log one evaluation from what its stage wrote, and return the run's id.

    key: digest of what was evaluated and how; the same key is logged once.
    tags: where it comes from, as `CKPT_MD5` and the commit.
    pictures: uint8[h, w, 3] by name.
    data: the data set it is about, shown beside the run.
    name: as people read it; the experiment and the key otherwise.
    parent: id of the run it is shown under, also where it was logged before under another.
    """
    with _store() as client:
        found = _find_run(client, experiment, key)
        under = {"mlflow.parentRunId": parent} if parent else {}
        if found and found.info.status == "FINISHED":
            for tag, value in under.items():
                client.set_tag(found.info.run_id, tag, value)
            return found.info.run_id
        run = (found or _create_run(client, experiment, key, {**tags, **under}, name)).info.run_id
        for param, value in (params or {}).items():
            client.log_param(run, param, "–" if value == "" else value)
        _log_metrics(client, run, [(name, value, 0, 0) for name, value in metrics.items()])
        for file in files:
            client.log_artifact(run, str(file))
        if data:
            client.log_inputs(run, datasets=[data.as_input()])
        for name, picture in (pictures or {}).items():
            client.log_image(run, picture, artifact_file=f"pictures/{name}.png")
        client.set_terminated(run)
        return run


def key_of(*told: Any) -> str:
    """The key of an evaluation that is nothing but what it says: a digest of its JSON."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def register(name: str, folder: Path, key: str, tags: Mapping[str, str], run: str) -> int:
    """Store a checkpoint folder as a version of the model `name`, and return its number.

    key: digest of the folder's files; the same key is stored once.
    run: the evaluation it was judged by, which then also holds the files.
    """
    with _store() as client:
        for version in client.search_model_versions(f"name = '{name}'"):
            if version.tags.get(KEY) == key:
                return int(version.version)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        client.log_artifacts(run, str(folder), "checkpoint")
        source = f"{client.get_run(run).info.artifact_uri}/checkpoint"
        version = client.create_model_version(name, source, run, tags={KEY: key, **tags}, await_creation_for=0)
        return int(version.version)


def aliases(name: str) -> dict[str, int]:
    """Version number by alias; {} when the model is not known."""
    with _store() as client:
        found = client.search_registered_models(f"name = '{name}'")
        # int over a SQL store, str over REST
        return {alias: int(version) for alias, version in found[0].aliases.items()} if found else {}


def set_alias(name: str, alias: str, version: int) -> None:
    with _store() as client:
        client.set_registered_model_alias(name, alias, str(version))


def version_tags(name: str, version: int) -> dict[str, str]:
    """Raises BadInput where there is no such version."""
    with _store() as client:
        known = sorted(int(found.version) for found in client.search_model_versions(f"name='{name}'"))
        if version not in known:
            raise BadInput(
                f"no version {version} is registered",
                where=f"model registry, {name}: found {', '.join(map(str, known)) or 'none'}",
                next="name one of these",
            )
        return dict(client.get_model_version(name, str(version)).tags)


def tag_version(name: str, version: int, tags: Mapping[str, str]) -> None:
    with _store() as client:
        for tag, value in tags.items():
            client.set_model_version_tag(name, str(version), tag, value)


def fetch(name: str, version: int, into: Path) -> None:
    """Copy the files of a version into a folder. Whether they are the right bytes is the caller's to check."""
    with _store() as client:
        from mlflow.artifacts import download_artifacts

        uri = client.get_model_version_download_uri(name, str(version))
        try:
            download_artifacts(artifact_uri=uri, dst_path=str(into), tracking_uri=_uri())
        except OSError as error:
            raise Integrity(
                f"the files of {name} version {version} are gone",
                where=uri,
                next="urm rollback, or urm demo to register again",
            ) from error


def commit() -> str:
    """The commit the code is at, with "+" when files differ from it; "" outside git."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


# The store


def _uri() -> str:
    environment.settle()
    return os.environ["MLFLOW_TRACKING_URI"]


@contextmanager
def _store() -> Iterator["MlflowClient"]:
    """A client of a store whose tables exist. MLflow not answering is told as `TryAgain`."""
    home = environment.home()
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        # Several processes making the tables of one SQLite file at once break it for good.
        with FileLock(home / "mlflow.lock"):
            _make_tables(_uri())
            client = MlflowClient(_uri(), _uri())
            client.search_experiments(max_results=1)
            _let_readers_in(_uri())
        yield client
    except MlflowException as error:
        if error.error_code not in UNREACHABLE:
            raise
        raise TryAgain(
            f"MLflow did not answer: {str(error).splitlines()[0][:120]}",
            where=_uri(),
            next="start the server at MLFLOW_TRACKING_URI, or unset it, and run the same command",
        ) from error


def _make_tables(uri: str) -> None:
    """A new SQLite file appears with all its tables: one with some of them, after a kill, MLflow never opens again."""
    from mlflow import MlflowClient

    file = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or file.exists():
        return
    for left in file.parent.glob(f".{file.name}.*"):
        left.unlink()
    with replacing(file) as part:
        MlflowClient(f"sqlite:///{part}").search_experiments(max_results=1)


def _let_readers_in(uri: str) -> None:
    """Put a SQLite file into write-ahead mode: reading doesn't wait for who writes."""
    if not uri.startswith("sqlite:///"):
        return
    connection = sqlite3.connect(uri.removeprefix("sqlite:///"))
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _experiment(client: "MlflowClient", name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found:
        return found.experiment_id
    local = _uri().startswith("sqlite:///")
    place = (environment.settle() / "artifacts").as_uri() if local else None
    return client.create_experiment(name, artifact_location=place)


def _find_run(client: "MlflowClient", experiment: str, key: str) -> Any:
    """The MLflow run of a key, or None."""
    found = client.search_runs([_experiment(client, experiment)], f"tags.`{KEY}` = '{key}'", max_results=1)
    return found[0] if found else None


def _create_run(client: "MlflowClient", experiment: str, key: str, tags: Mapping[str, str], name: str = "") -> Any:
    name = name or f"{experiment}-{key[:8]}"
    return client.create_run(_experiment(client, experiment), run_name=name, tags={KEY: key, **tags})


def _log_metrics(client: "MlflowClient", run: str, points: Sequence[tuple[str, float, int, int]]) -> None:
    """points: (name, value, time in ms, step). A point sent twice is one point."""
    from mlflow.entities import Metric

    metrics = [Metric(re.sub(r"[^\w\-. /:]", "_", name), value, at, step) for name, value, at, step in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


# Curves: a line of JSON a step; the first line says whose they are


def _reopen(file: Path, header: Mapping[str, Any]) -> dict[str, int]:
    """Make the file, or go on in it; the last step logged of each value."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = file.read_text() if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # killed in the middle of a line
        os.truncate(file, len(whole.encode()))
    if not whole:
        _append(file, header)
    last: dict[str, int] = {}
    for line in whole.splitlines()[1:]:
        row = json.loads(line)
        last |= dict.fromkeys(row.get("values", {}), row.get("step", -1))
    return last


def _append(file: Path, row: Mapping[str, Any]) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(row, default=str) + "\n")


def _ship(file: Path) -> None:
    """Bring MLflow level with the file."""
    lines = file.read_text().splitlines(keepends=True)
    lines = [line for line in lines if line.endswith("\n")]
    header, rows = json.loads(lines[0]), [json.loads(line) for line in lines[max(1, _sent(file)) :]]
    if not rows:
        return
    with _store() as client:
        run = _find_run(client, header["stage"], header["key"])
        if run is None:
            run = _create_run(client, header["stage"], header["key"], {})
            for name, value in header["params"].items():
                client.log_param(run.info.run_id, name, value)
        points = [(n, v, row["at"], row["step"]) for row in rows for n, v in row.get("values", {}).items()]
        _log_metrics(client, run.info.run_id, points)
        for name in dict.fromkeys(row["picture"] for row in rows if "picture" in row):
            client.log_artifact(run.info.run_id, str(_pictures(file) / name), "pictures")
        if rows[-1].get("end"):
            client.set_terminated(run.info.run_id)
    write_text(_mark(file), str(len(lines)))


def _pictures(file: Path) -> Path:
    return file.with_suffix("")


def _mark(file: Path) -> Path:
    return file.with_suffix(".sent")


def _sent(file: Path) -> int:
    """Lines MLflow has."""
    return int(_mark(file).read_text()) if _mark(file).exists() else 0


def _lines(file: Path) -> int:
    return file.read_text().count("\n")
