"""A built data set goes to a remote and comes back: a folder, and an S3-compatible store."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from components.data.cot import build
from model.imaging import shards
from tests.components.data.cot.conftest import blob_source, config_of  # noqa: F401  blob_source is a fixture

BUCKET = "studies"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def project(blob_source, tmp_path) -> Path:  # noqa: F811
    """A DVC project with a small build in it."""
    build.run(config_of(tmp_path / "cot", cases=12, cases_per_shard=6, workers=1))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "-q")
    dvc(tmp_path, "add", "-q", "cot")
    return tmp_path


@pytest.fixture
def store(monkeypatch):
    """An S3-compatible server of its own; its address."""
    import boto3

    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket=BUCKET)
    yield f"http://{host}:{port}"
    server.stop()


def dvc(project: Path, *words: str) -> None:
    told = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=project, capture_output=True, text=True,
                          env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=False)  # fmt: skip
    assert told.returncode == 0, told.stderr


def comes_back(project: Path) -> None:
    """Pushed, lost here, pulled: the same bytes, and sealed."""
    before = {path.name: path.read_bytes() for path in (project / "cot").glob("*.parquet")}
    assert before
    dvc(project, "push", "-q")
    shutil.rmtree(project / "cot")
    shutil.rmtree(project / ".dvc/cache")
    dvc(project, "pull", "-q")
    shards.verify(project / "cot")
    assert {path.name: path.read_bytes() for path in (project / "cot").glob("*.parquet")} == before


def test_a_folder_as_remote(project, tmp_path_factory):
    dvc(project, "remote", "add", "-q", "-d", "here", str(tmp_path_factory.mktemp("remote")))
    comes_back(project)


def test_an_s3_compatible_remote(project, store):
    dvc(project, "remote", "add", "-q", "-d", "away", f"s3://{BUCKET}/data")
    dvc(project, "remote", "modify", "-q", "away", "endpointurl", store)
    comes_back(project)
