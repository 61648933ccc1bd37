"""Every test has local state of its own: nothing reads or writes the `.urm` of the working folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import environment


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
