import os
import stat
from pathlib import Path

import pytest

from components import environment
from components.cluster import cluster


@pytest.fixture(scope="module")
def worker(home: Path) -> dict[str, str]:
    """What a worker of a local cluster finds in its environment; the cluster is gone afterwards."""
    import ray

    before = set(Path("/tmp").glob("urm*"))
    with cluster(num_cpus=1):
        with cluster(num_cpus=1):  # inside another, the outer one is used
            assert ray.cluster_resources()["CPU"] == 1
        assert ray.is_initialized()
        found = ray.get(ray.remote(lambda: dict(os.environ)).remote())
    assert not ray.is_initialized()
    assert set(Path("/tmp").glob("urm*")) <= before
    return found


def test_a_worker_knows_where_state_goes(worker: dict[str, str], home: Path) -> None:
    assert worker[environment.HOME] == str(home)
    assert worker["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] == "0.2"
    assert worker["MLFLOW_TRACKING_URI"] == f"sqlite:///{home / 'mlflow.db'}"


def test_only_the_owner_can_read_the_token(worker: dict[str, str]) -> None:
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert worker["RAY_AUTH_MODE"] == "token"
