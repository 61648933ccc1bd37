"""Starting or joining Ray: the one module that does."""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from components import environment

ADDRESS = "RAY_ADDRESS"
PLACE, PREFIX = Path("/tmp"), "urm"
"""Short, because Ray's sockets live below it and a socket's path may have 107 characters."""
HELD = "held.lock"
YOUNG_S = 60.0
"""A folder this new may not be held yet."""


@contextmanager
def cluster(num_cpus: int, address: str | None = None) -> Iterator[None]:
    """A running Ray for the length of the block.

    num_cpus: CPUs a local cluster offers. address: of a cluster to join as it is; `RAY_ADDRESS` where it is None.
    Inside an outer `cluster` the outer one is used. What was started here is shut down here.
    """
    address = address or os.environ.get(ADDRESS)
    home = environment.home()
    _make_token()
    import ray

    if ray.is_initialized():
        yield
        return
    workers = {"env_vars": {name: os.environ[name] for name in environment.variables(home)}}
    clear_abandoned(PLACE)
    scratch = tempfile.mkdtemp(prefix=PREFIX, dir=PLACE)
    held = FileLock(Path(scratch) / HELD)
    held.acquire()
    try:
        if address:
            ray.init(address=address, log_to_driver=False, runtime_env=workers)
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
        held.release()
        shutil.rmtree(scratch, ignore_errors=True)


def clear_abandoned(place: Path) -> None:
    """Remove what killed processes left: a folder of ours whose lock nobody holds any more."""
    for folder in place.glob(f"{PREFIX}*"):
        lock = folder / HELD
        try:
            if folder.stat().st_uid != os.getuid() or time.time() - lock.stat().st_mtime < YOUNG_S:
                continue
            with FileLock(lock).acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # held, or no folder of ours, or gone meanwhile
            continue


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
