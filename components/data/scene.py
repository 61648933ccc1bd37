"""The truth about one study: what questions are made from, and what a model never sees."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Seen:
    """A lesion that is plain to see in this study."""

    kind: str
    core: np.ndarray
    """bool (x, y, z), the study's grid."""
    cnr: float
    """Contrast to noise, measured on what a model is shown."""
    toned: bool | None = None
    """Whether its centre is plainly of another tone in the stored study; None where that is in doubt or not known."""


@dataclass(frozen=True, eq=False)
class Scene:
    study: str
    """Id of the stored study."""
    subject: str
    split: str
    contrast: str
    dimension: int
    """2 (one slice) or 3 (a volume)."""
    plane: str
    """"axial", "coronal" or "sagittal"; of a volume "axial"."""
    labels: np.ndarray
    """uint8 (x, y, z), RAS+, ids of `labels.NAMES`; a slice has length 1 along its axis."""
    lesions: tuple[Seen, ...]
    hidden: frozenset[str]
    """Kinds that are painted but not plain to see here: neither present nor absent, never asked about."""
    spacing_mm: tuple[float, float, float]
    own: bool
    """A donor's cortex and deep grey matter are its own and the rest the atlas's, warped.
    False of the atlas itself, where nothing is warped."""
    licence: str
    provenance: str
