"""Starting or joining Ray: the one module that does."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components import environment

ADDRESS = "RAY_ADDRESS"


@contextmanager
def cluster(num_cpus: int) -> Iterator[None]:
    """A running Ray for the length of the block.

    num_cpus: CPUs a local cluster offers. With `RAY_ADDRESS` set the cluster there is joined as it
    is; inside an outer `cluster` the outer one is used. What was started here is shut down here.
    """
    home = environment.home()
    _make_token()
    import ray

    if ray.is_initialized():
        yield
        return
    workers = {"env_vars": {name: os.environ[name] for name in environment.variables(home)}}
    # Short, because Ray's sockets live below it and a socket's path may have 107 characters.
    scratch = tempfile.mkdtemp(prefix="urm", dir="/tmp")
    try:
        if ADDRESS in os.environ:
            ray.init(address=os.environ[ADDRESS], log_to_driver=False, runtime_env=workers)
        else:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                runtime_env=workers,
                _temp_dir=scratch,
            )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def _make_token() -> None:
    """Only holders of a token may talk to our Ray. Ray's own token file is readable by everybody; ours isn't."""
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    if os.environ["RAY_AUTH_MODE"] != "token" or token.exists():
        return
    token.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=token.parent)  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    Path(name).replace(token)
