"""The environment every service is started in: telemetry off, state under `.urm`, patience set.

Prefect, MLflow, Ray and DVC read these when they are imported, so `settle` is called before, by
whoever is about to import one. What the user has set stays as it is.
"""

import os
from pathlib import Path

HOME = "URM_HOME"
"""Variable naming the folder of local state. A Ray worker runs in another folder, so a path
relative to the working folder would not lead it there."""

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # the value matters: MLflow accepts only "true"
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}

QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # its page has the logs; the terminal has our errors
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # loading bars of transformers too
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default of 7 blocks for four minutes when the server is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 is too short on two busy cores
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # ray.train.report blocks for one such interval; the default is 2
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10",  # for places, not for imports; then the places are counted anew
}

SAFETY = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # nine idle helper processes otherwise
}


def settle(folder: Path | None = None) -> Path:
    """Set what is not set yet, and return the folder of local state (absolute, perhaps not made yet).

    folder: where local state goes; by default `.urm` in the working folder, or what `URM_HOME` says.
    """
    folder = Path(folder or os.environ.get(HOME) or ".urm").resolve()
    for name, value in variables(folder).items():
        os.environ.setdefault(name, value)
    return folder


def home() -> Path:
    """`settle`, and make the folders of local state."""
    folder = settle()
    folder.mkdir(parents=True, exist_ok=True)
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # Prefect's server dies without it
    return folder


def variables(folder: Path) -> dict[str, str]:
    """Everything `settle` sets for local state in `folder`."""
    places = {
        HOME: str(folder),
        "PREFECT_HOME": str(folder / "prefect"),
        "RAY_AUTH_MODE": "token",  # read when ray is imported, so it can't wait for a cluster to start
        "RAY_AUTH_TOKEN_PATH": str(folder / "ray_token"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }
    return TELEMETRY_OFF | QUIET | PATIENCE | SAFETY | places
