"""Every test module has local state of its own: nothing reads or writes the `.urm` of the working folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from components import environment

# A busy machine is slow, not wrong; and a failing example must be found by everybody who runs the suite.
settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of local state, one a module."""
    before = dict(os.environ)
    folder = tmp_path_factory.mktemp("home")
    for name in (environment.HOME, *environment.variables(folder)):
        os.environ.pop(name, None)
    yield environment.settle(folder)
    os.environ.clear()
    os.environ.update(before)
