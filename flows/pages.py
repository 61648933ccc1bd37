"""The services' own pages, over the state the flows left: loopback only, telemetry off."""

import os
import sys
from pathlib import Path

from components import environment
from model.interface.errors import BadInput

COMMANDS = {
    "mlflow": ["server", "--host", "127.0.0.1", "--port", "5000", "--workers", "1"],
    "prefect": ["server", "start", "--host", "127.0.0.1", "--port", "4200"],
}


def serve(service: str) -> None:
    """Become the service; returns only by raising."""
    if service not in COMMANDS:
        raise BadInput(f"no pages of '{service}'", where="urm ui", next=f"urm ui {' | urm ui '.join(COMMANDS)}")
    home = environment.home()
    # `mlflow server` reads its store from its own variable, and would make a folder of artifacts here.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = os.environ["MLFLOW_TRACKING_URI"]
    os.environ["MLFLOW_ARTIFACTS_DESTINATION"] = str(home / "artifacts")
    program = str(Path(sys.executable).parent / service)
    os.execv(program, [program, *COMMANDS[service]])
