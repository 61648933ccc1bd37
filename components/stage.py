"""A step as a command: `python -m components.<step>` reads its section of params.yaml and runs.

This is what dvc.yaml calls. Errors are told in four lines on stderr, and the exit code says which kind.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel

from components import environment, settings
from model.interface.errors import Failure

Config = TypeVar("Config", bound=BaseModel)


def command(section: str, cls: type[Config], run: Callable[[Config], Any]) -> int:
    """Run a step on its section; the exit code."""
    environment.settle()
    try:
        run(settings.load(section, cls))
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        return failure.exit_code
    return 0
