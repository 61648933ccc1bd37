"""A question about a study, its answer, and the grounded rationale that leads there.

Boxes are in source voxels of the stored study (x, y, z in RAS+), not in model space: a contract may
change how a study is shown without any question being written again. `Frame` brings them over.
"""

from dataclasses import asdict, dataclass
from string import ascii_uppercase
from typing import Any

from model.interface.boxes import Box

FAMILIES = (
    "structure localisation",
    "spatial localisation",
    "existence verification",
    "size comparison",
    "spatial relationship",
    "lesion analysis",
)
"""The six families of UniMed-CoT (arXiv 2606.11740, data construction)."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One stretch of a rationale: words, and the region they end by pointing at."""

    text: str
    box: Box | None = None
    """Source voxels, half open; None for words that point at nothing."""
    names: str = ""
    """What is in the box ("left hippocampus"), for metrics by structure."""
    kind: str = ""
    """"own" (the subject's own label), "propagated" (warped from an atlas) or "lesion"."""


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    study: str
    """Id of the stored study it is about."""
    subject: str
    """The person: splits are by subject, always."""
    split: str
    dimension: int
    """2 (one image) or 3 (a volume)."""
    family: str
    text: str
    """May hold {0}, {1}, …: places for `regions`, written in model space when the question is asked."""
    options: tuple[str, ...]
    """2 to 26 texts, shown as A, B, …; empty for an open question."""
    answer: int | None
    """Index into options; None where the truth is not known, or the question is open."""
    regions: tuple[Box, ...] = ()
    """Boxes that text or options speak of, source voxels."""
    contrast: str = ""
    rationale: tuple[Remark, ...] = ()
    laterality: bool = False
    """True when the words need the patient's left and right to be known."""
    licence: str = ""
    provenance: str = ""
    reply: str = ""
    """The right answer of an open question, in words; may hold {0}, {1}, … as `text` does."""
    fine: bool = False
    """True when what is asked is too fine for the picture of the whole study: only a crop from the source shows it."""

    def __post_init__(self) -> None:
        if len(self.options) == 1 or len(self.options) > len(ascii_uppercase):
            raise ValueError(f"question {self.id}: {len(self.options)} options, expected 0 or 2 to 26")
        if self.reply and self.options:
            raise ValueError(f"question {self.id}: a reply and {len(self.options)} options, expected either")
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise ValueError(f"question {self.id}: answer {self.answer}, options 0 to {len(self.options) - 1}")

    @property
    def letter(self) -> str | None:
        """The right option's letter."""
        return None if self.answer is None else ascii_uppercase[self.answer]

    def to_json(self) -> dict[str, Any]:
        """`fine` is told where it is so: sets written before it was there keep their bytes."""
        return {name: value for name, value in asdict(self).items() if name != "fine" or value}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Question":
        remarks = tuple(Remark(**r | {"box": Box.from_json(r["box"]) if r["box"] else None}) for r in row["rationale"])
        regions = tuple(Box.from_json(r) for r in row["regions"])
        return cls(**row | {"options": tuple(row["options"]), "regions": regions, "rationale": remarks})
