"""Painting: labels and lesions become a T1, T2, FLAIR or CT, or a contrast kept from training.

CT is in Hounsfield units, the others magnitudes of about 0 to 1. DWI, with dark fluid and no skull,
is never trained on: it is what the drift monitor must notice.
"""

import numpy as np
from scipy import ndimage as ndi

from components.data.heads import smooth_field
from components.data.labels import ID, NAMES, TISSUE
from components.data.lesions import KINDS, NECROSIS, NECROSIS_DEPTH_MM, Lesion
from components.data.morphology import depth

TRAINED = ("T1", "T2", "FLAIR", "CT")
HELD_OUT = "DWI"

# fmt: off
# per tissue: mean, s.d. of the mean between samples, s.d. of the texture
PRIORS: dict[str, dict[str, tuple[float, float, float]]] = {
    "T1": {"AIR": (0, 0, 0), "CSF": (.20, .05, .02), "GM": (.58, .04, .03), "DGM": (.66, .04, .02),
           "TH": (.70, .03, .02), "PAL": (.80, .03, .02), "WM": (.88, .04, .025),
           "BS": (.82, .04, .025), "BONE": (.12, .04, .05), "SOFT": (.55, .10, .08)},
    "T2": {"AIR": (0, 0, 0), "CSF": (.95, .03, .02), "GM": (.58, .05, .03), "DGM": (.48, .04, .02),
           "TH": (.46, .04, .02), "PAL": (.32, .05, .02), "WM": (.38, .04, .025),
           "BS": (.42, .04, .025), "BONE": (.08, .03, .04), "SOFT": (.40, .08, .08)},
    "FLAIR": {"AIR": (0, 0, 0), "CSF": (.10, .03, .02), "GM": (.66, .03, .03), "DGM": (.60, .03, .02),
              "TH": (.57, .03, .02), "PAL": (.44, .04, .02), "WM": (.47, .03, .02),
              "BS": (.52, .04, .025), "BONE": (.08, .03, .04), "SOFT": (.45, .08, .08)},
    "CT": {"AIR": (-1000, 0, 0), "CSF": (8, 2, 1), "GM": (37, 1.5, 1.5), "DGM": (38, 1.5, 1),
           "TH": (37, 1.5, 1), "PAL": (40, 2, 1), "WM": (28, 1.5, 1.2), "BS": (31, 2, 1.2),
           "BONE": (850, 150, 150), "SOFT": (45, 8, 12)},
    "DWI": {"AIR": (0, 0, 0), "CSF": (.05, .02, .02), "GM": (.52, .04, .05), "DGM": (.45, .04, .04),
            "TH": (.44, .04, .04), "PAL": (.30, .04, .04), "WM": (.40, .04, .05),
            "BS": (.42, .04, .05), "BONE": (.02, .01, .01), "SOFT": (.04, .02, .02)},
}
# fmt: on


TELLING = {
    "T1": ("enhancing mass", "infarct", "calcification"),
    "T2": ("white matter lesion", "infarct", "haemorrhage"),
    "FLAIR": ("white matter lesion", "infarct", "haemorrhage", "subdural haematoma"),
    "CT": ("haemorrhage", "infarct", "subdural haematoma", "calcification", "enhancing mass"),
}
"""Kinds that mostly show in a contrast; the others hide, and a head with a hidden lesion teaches little."""
ANY_KIND = 0.2
"""Share of heads whose lesions are drawn among all kinds all the same."""


def kinds_to_show(random: np.random.Generator, contrast: str, count: int) -> list[str]:
    """Kinds of lesion for one head, all different."""
    every = tuple(KINDS)
    pool = every if random.random() < ANY_KIND else TELLING.get(contrast, every)
    return [pool[k] for k in random.permutation(len(pool))[:count]]


def modality_of(contrast: str) -> str:
    return "CT" if contrast == "CT" else "MR"


def paint(
    random: np.random.Generator,
    labels: np.ndarray,
    lesions: list[Lesion],
    contrast: str,
    spacing_mm: np.ndarray,
    *,
    stripped: bool = False,
) -> np.ndarray:
    """An image float32 (x, y, z). stripped: skull, scalp and everything outside removed, as of many research MRs."""
    mean, texture = _levels(random, contrast)
    grain = ndi.gaussian_filter(random.standard_normal(labels.shape, dtype=np.float32), 0.8)
    grain /= grain.std() + 1e-6
    image = mean[labels] + texture[labels] * grain
    lesion_texture = 0.04 * (40.0 if contrast == "CT" else 1.0)
    for lesion in lesions:
        core, rim = KINDS[lesion.kind].levels[contrast]
        if rim is not None:
            image[lesion.rim] = rim + lesion_texture * grain[lesion.rim]
        image[lesion.core] = core + lesion_texture * grain[lesion.core]
        if KINDS[lesion.kind].ring and contrast in NECROSIS:
            image[depth(lesion.core, spacing_mm) > NECROSIS_DEPTH_MM] = NECROSIS[contrast]
        if lesion.centre is not None and lesion.toned:
            image[lesion.centre] = KINDS[lesion.kind].centre[contrast] + lesion_texture * grain[lesion.centre]
    image = ndi.gaussian_filter(image, random.uniform(0.55, 0.8))  # partial volume, point spread
    if contrast == "CT":
        noise = ndi.gaussian_filter(random.standard_normal(labels.shape, dtype=np.float32), 0.5)
        return image + noise * np.float32(random.uniform(5, 12))
    image = np.clip(image, 0, None) * np.exp(smooth_field(random, labels.shape, 4, random.uniform(0.05, 0.18)))
    sigma = np.float32(random.uniform(0.01, 0.035))
    real, imaginary = (sigma * random.standard_normal(labels.shape, dtype=np.float32) for _ in range(2))
    image = np.sqrt((image + real) ** 2 + imaginary**2)  # Rician
    return np.where(np.isin(labels, _OUTSIDE), np.float32(0), image) if stripped else image


_OUTSIDE = (0, ID["skull"], ID["scalp"])


def _levels(random: np.random.Generator, contrast: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and texture s.d. of every label, float32[len(NAMES)]."""
    prior = PRIORS[contrast]
    shift = {tissue: random.normal() for tissue in prior}
    mean = [prior[t][0] + prior[t][1] * (shift[t] + 0.35 * random.normal()) for t in TISSUE]
    return np.array(mean, np.float32), np.array([prior[t][2] for t in TISSUE], np.float32)


assert len(TISSUE) == len(NAMES)
