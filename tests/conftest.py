"""Tests have local state of their own: nothing reads or writes the `.urm` of the working folder.

What Prefect and Ray read when they are imported is set once, before any test module is; where MLflow and we
keep things is another folder for each module.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from components import environment

# A busy machine is slow, not wrong; and a failing example must be found by everybody who runs the suite.
settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("project"), derandomize=False, max_examples=5000)
settings.load_profile("project")

SESSION = Path(tempfile.mkdtemp(prefix="urm-tests-"))


SLOW = (
    "training/test_launch.py",
    "training/test_sft.py",
    "bench/test_run.py",
    "base/test_run.py",
    "flows/test_retrain.py",
)
"""Files of minutes, begun first, so that two processes end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(SLOW))


def pytest_configure() -> None:
    environment.settle(SESSION)


def pytest_unconfigure() -> None:
    shutil.rmtree(SESSION, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of local state, one a module."""
    folder = tmp_path_factory.mktemp("home")
    places = environment.variables(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in (environment.HOME, "MLFLOW_TRACKING_URI"):
            patch.setenv(name, places[name])
        yield folder
