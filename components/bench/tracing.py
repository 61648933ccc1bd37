"""What a grounded sample costs from its mask: 2D masks of 10 labels, volumes of 30, on one core.

Ours measures each outline once, inside its own extent; the peer looks for each label in the whole mask, as one would
first write it. What follows (proposals, exchange, words, text) is the same code in both, and the text is compared.
"""

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy import ndimage as ndi
from torch import Tensor

from components.bench.measure import Comparison
from components.data.cot import exchange, families, studies
from components.data.cot.studies import Cutting
from components.data.cot.style import Style
from components.data.cot.wording import Words
from components.data.labels import ENVELOPE, NAMES
from components.data.lesions import KINDS
from components.data.sources.case import Case, Labelled, Outline, outlines_of
from model.imaging.volume import Volume
from model.interface.grammar import write_box
from model.interface.question import Question
from model.vlm.checkpoint import Checkpoint

ORGANS = (
    "liver", "spleen", "left kidney", "right kidney", "aorta", "pancreas", "stomach", "gallbladder",
    "left adrenal gland", "liver tumour",
)  # fmt: skip
BRAIN = (*(name for name in NAMES[1:] if name not in ENVELOPE), *KINDS)[:29]
SLICES, VOLUMES = 400, 40
ASKED = 12, 40
"""Questions about a slice and a volume."""

Outlining = Callable[[np.ndarray, dict[int, str]], Sequence[Outline]]


def mask_to_trace_2d(_: Checkpoint) -> Comparison:
    """256 x 256, 10 labels; n is samples."""
    return _compared([ellipsoids(k, (256, 256, 1), len(ORGANS)) for k in range(SLICES)], ORGANS, ASKED[0])


def mask_to_trace_3d(_: Checkpoint) -> Comparison:
    """96 x 96 x 96, 30 labels; n is samples, one volume gives forty."""
    names = (*BRAIN, "enhancing mass")
    return _compared([ellipsoids(k, (96, 96, 96), len(names)) for k in range(VOLUMES)], names, ASKED[1])


def ellipsoids(seed: int, shape: tuple[int, int, int], n: int) -> np.ndarray:
    """uint8 label map: one ellipsoid a label, later ones on top."""
    random, labels = np.random.default_rng(seed), np.zeros(shape, np.uint8)
    at = np.ogrid[tuple(slice(side) for side in shape)]
    for label in range(1, n + 1):
        centre, radius = random.uniform(0.15, 0.85, 3) * shape, np.maximum(0.6, random.uniform(0.03, 0.1, 3) * shape)
        labels[sum(((a - c) / r) ** 2 for a, c, r in zip(at, centre, radius, strict=True)) <= 1] = label
    return labels


def _compared(masks: list[np.ndarray], names: Sequence[str], each: int) -> Comparison:
    told = dict(enumerate(names, 1))
    n = len(samples(masks, told, outlines_of, each))
    return Comparison(
        ours=lambda: _as_tensor(samples(masks, told, outlines_of, each), masks[0]),
        peer=lambda: _as_tensor(samples(masks, told, in_whole_masks, each), masks[0]),
        peer_is="each label sought in the whole mask: where it is, how far it reaches, in how many pieces",
        n=n,
        tolerance=0.0,
    )


def samples(masks: list[np.ndarray], names: dict[int, str], outlining: Outlining, each: int) -> list[Question]:
    random, proposed = np.random.default_rng(1), []
    for k, labels in enumerate(masks):
        volume = Volume(labels, np.eye(4), "CT", True, "axial")
        labelled = Labelled(volume, tuple(outlining(labels, names)), "patient", (), frozenset(names.values()))
        case = Case("bench", f"s{k}", f"s{k}", "train", "", (), _open)
        for _, sight in studies.studies(case, labelled, Cutting(0, 0.0), "train", random):
            proposed += families.proposals(sight, random)
    met = exchange.groups(proposed, random, Style().options)
    kept = exchange.chosen(met, (each * len(masks), each * len(masks)), random)
    return exchange.questions(kept, Words(), Style(), random)


def _open() -> Labelled:
    raise NotImplementedError("a case of the bench is opened already")


def in_whole_masks(labels: np.ndarray, names: dict[int, str]) -> list[Outline]:
    """The peer's way to the same outlines."""
    found = []
    for value, name in names.items():
        mask = labels == value
        places = np.argwhere(mask)
        if len(places):
            ndi.label(mask, np.ones((3, 3, 3)))
            low, high = places.min(0), places.max(0) + 1
            x, y, z = low.tolist()
            found.append(Outline(name, (x, y, z), mask[tuple(map(slice, low, high))]))
    return found


def _as_tensor(made: list[Question], mask: np.ndarray) -> Tensor:
    """The text of every sample, as the digits of its digest."""
    flat = mask.shape[2] == 1
    text = "\n".join(
        f"{q.text}|{q.options}|{q.answer}|"
        + " ".join(f"{r.text} {write_box(r.box, flat=flat)}" if r.box else r.text for r in q.rationale)
        for q in made
    )
    return torch.tensor(list(hashlib.sha256(text.encode()).digest()), dtype=torch.float32)
