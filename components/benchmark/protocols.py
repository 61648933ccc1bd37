"""How each question answering set is scored by those who publish numbers on it: split, scores, parts.

Closed questions: the share of right letters. Open ones: recall of the right answer's words, as LLaVA-Med reports SLAKE,
VQA-RAD and PathVQA (Li et al. 2023, arXiv 2306.00890), beside exact match and F1. No judge marks anything here.
"""

from dataclasses import dataclass
from typing import Literal

from components.data.vqa.registry import ADAPTERS
from model.interface.errors import BadInput

Part = Literal["family", "modality"]


@dataclass(frozen=True, slots=True)
class Protocol:
    version: int = 2
    """Raised whenever the same answers would be scored otherwise."""
    split: str = "test"
    parts: tuple[Part, ...] = ("family",)
    """Every score is told of each part as well."""
    headline: Literal["answers", "families"] = "answers"
    """A mean over answers, or over the means of the families."""
    source: str = ""
    """Whose way of scoring it is."""


OPEN = "LLaVA-Med (arXiv 2306.00890): accuracy of closed, recall of open questions"
PROTOCOLS: dict[str, Protocol] = {
    "deep_tumor_vqa": Protocol(headline="families", source="its benchmark: accuracy by subtype, options given"),
    "m3d_vqa": Protocol(source="M3D (arXiv 2404.00578): accuracy of closed questions by type"),
    "medxpertqa_mm": Protocol(source="MedXpertQA (arXiv 2501.18362): accuracy, by task"),
    "omni_med_vqa": Protocol(parts=("family", "modality"), source="OmniMedVQA (arXiv 2402.09181): accuracy by type"),
    "path_vqa": Protocol(source=OPEN),
    "pmc_vqa": Protocol(source="PMC-VQA (arXiv 2305.10415): accuracy of the letter"),
    "rad3d": Protocol(headline="families", source="3D-RAD (arXiv 2506.11147): mean over its tasks"),
    "radgenome_chestct": Protocol(split="val", source="its published split; " + OPEN),
    "slake": Protocol(source=OPEN),
    "vqa_rad": Protocol(source=OPEN),
}


def protocol(name: str) -> Protocol:
    """Raises BadInput for a set that nobody here knows."""
    if name not in PROTOCOLS:
        where = f"set: found {name!r}, wanted one of {', '.join(ADAPTERS)}"
        raise BadInput(f"unknown question answering set {name!r}", where=where, next="choose one of these")
    return PROTOCOLS[name]
