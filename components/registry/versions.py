"""Checkpoints as versions of one registered model, and the way back from an alias to a folder.

A version is the checkpoint folder as it is: safetensors, contract and manifest, nothing pickled and no
code. Its key is the digest of the manifest, checked each time a version becomes a folder again.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import environment, tracking
from model.interface.errors import BadInput, Integrity
from model.vlm import checkpoint

MODEL = "unireason-med"
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
NUMBERS = ("accuracy", "baseline_majority", "baseline_blank", "localisation_iou", "box_iou", "valid_format")
"""What a version remembers of its evaluation."""


def register(folder: Path, metrics: Mapping[str, Any], data: str, run: str, tags: Mapping[str, str]) -> int:
    """Register a checkpoint folder as `challenger`; the same bytes are one version.

    metrics: its numbers of one split, by dimension.
    data: digest of the data they were made on.
    run: its evaluation in MLflow.
    """
    kept = {dimension: {name: found[name] for name in NUMBERS if name in found} for dimension, found in metrics.items()}
    remembered = {"metrics": json.dumps(kept), "data": data, **tags}
    version = tracking.register(MODEL, folder, checkpoint.verify(folder), remembered, run)
    tracking.tag_version(MODEL, version, remembered)
    tracking.set_alias(MODEL, CHALLENGER, version)
    return version


def numbers(version: int, data: str) -> dict[str, Any] | None:
    """What `register` remembered of a version; None when it was measured on other data."""
    tags = tracking.version_tags(MODEL, version)
    return json.loads(tags["metrics"]) if tags.get("data") == data else None


def aliases() -> dict[str, int]:
    return tracking.aliases(MODEL)


def resolve(alias: str = CHAMPION) -> Path:
    """The verified folder of an alias, fetched once into `.urm/models`.

    Raises BadInput when nothing has that alias, Integrity when the bytes are not those registered.
    """
    version = aliases().get(alias)
    if version is None:
        known = ", ".join(aliases()) or "none"
        raise BadInput(
            f"no checkpoint is '{alias}'",
            where=f"model registry, {MODEL}: found {known}, wanted an alias or a checkpoint folder",
            next="--checkpoint with one of these, urm promote, or urm demo to make one",
        )
    digest = tracking.version_tags(MODEL, version)[tracking.KEY]
    folder = environment.settle() / "models" / f"v{version}-{digest[:12]}"
    if not folder.exists():
        _fetch(version, folder)
    found = checkpoint.verify(folder)
    if found != digest:
        raise Integrity(
            f"version {version} is not what was registered",
            where=f"{folder.name}/{checkpoint.MANIFEST}, SHA-256, found {found[:12]}, wanted {digest[:12]}",
            next=f"rm -r {folder}, and the same command again",
        )
    return folder


def _fetch(version: int, folder: Path) -> None:
    """The folder appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        tracking.fetch(MODEL, version, scratch)
        next(path.parent for path in scratch.rglob(checkpoint.MANIFEST)).replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
