"""What a label's name means: one spelling for what many sets spell their way, its side, partner, system and kind.

entry("left kidney")         Entry("left kidney", "left", "right kidney", "urinary", "structure")
canonical("kidney_left")     "left kidney"
canonical("cochlea left")    None: nobody here knows it; `named` makes it usable as "left cochlea"
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from components.data.sources.anatomy_names import LESIONS, MIDLINE, PAIRED, PAIRED_LESIONS

SIDES = ("left", "right")
OTHER = {"left": "right", "right": "left"}
ONE_SIDED = ("middle lung lobe",)
"""What only one side of the body has: a side, no partner."""
BRITISH = {
    "tumor": "tumour", "tumors": "tumours", "edema": "oedema", "esophagus": "oesophagus", "hemorrhage": "haemorrhage",
    "hematoma": "haematoma", "celiac": "coeliac", "peritumoral": "peritumoural",
}  # fmt: skip
"""American word -> ours, wherever it stands in a name."""
OF_LESIONS = (
    "tumour", "cancer", "carcinoma", "metastas", "lesion", "cyst", "nodule", "mass", "oedema", "haemorrhage",
    "haematoma", "infarct", "polyp", "melanoma", "schwannoma", "glioma", "aneurysm", "fracture", "effusion", "stone",
)  # fmt: skip
"""How a word of a lesion begins or ends: an unknown name with one is no structure."""


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    side: str
    """"left" or "right", the patient's, or ""."""
    partner: str
    """The same on the other side, "" of what has none."""
    system: str
    """Organ system, "" of a name that isn't in the table."""
    kind: str
    """"structure" or "lesion"."""


def entry(name: str) -> Entry:
    """Of a name as `canonical` or `named` spells it, known or not."""
    found = _table().get(name)
    return found or _unknown(name)


def canonical(source_name: str) -> str | None:
    """How we spell a set's name, None where the table doesn't know it."""
    return _spellings().get(_key(source_name))


def named(source_name: str) -> tuple[str, str]:
    """(a name that is always usable, a warning or ""): of an unknown one its own, cleaned, with the side first."""
    known = canonical(source_name)
    if known:
        return known, ""
    cleaned = " ".join(filter(None, _key(source_name))) or "unnamed structure"
    return cleaned, f"label {source_name!r} is not in the ontology: taken as {cleaned!r}, of no known organ system"


def named_all(table: Mapping[int, str]) -> tuple[dict[int, str], tuple[str, ...]]:
    """A set's own table of label values -> the same in our names, without background, and what had to be assumed.

    An empty name stays empty: nothing is made of that value.
    """
    found = {value: named(name) if name else ("", "") for value, name in table.items() if value != 0}
    return {value: name for value, (name, _) in found.items()}, tuple(told for _, told in found.values() if told)


def _key(source_name: str) -> tuple[str, str]:
    """(side, the rest), in lower case and British."""
    found: list[str] = re.findall(r"[a-z0-9&]+", source_name.lower())
    words = [BRITISH.get(word, word) for word in found]
    sides = [word for word in words if word in SIDES]
    if len(sides) != 1:
        return "", " ".join(words)
    return sides[0], " ".join(word for word in words if word not in SIDES)


@cache
def _table() -> dict[str, Entry]:
    return {known.name: known for known, _ in _known()}


@cache
def _spellings() -> dict[tuple[str, str], str]:
    return {_key(spelling): known.name for known, spellings in _known() for spelling in spellings}


def _known() -> Iterator[tuple[Entry, list[str]]]:
    """Every entry with the ways to spell it, its own first."""
    for kind, sided, tables in (
        ("structure", True, PAIRED), ("structure", False, MIDLINE), ("lesion", True, PAIRED_LESIONS),
        ("lesion", False, LESIONS),
    ):  # fmt: skip
        for system, table in tables.items():
            for line in table.strip().splitlines():
                name, _, synonyms = (part.strip() for part in line.partition("="))
                spellings = [name, *(synonym.strip() for synonym in synonyms.split(";") if synonym.strip())]
                for side in ("", *SIDES) if sided else ("",):  # "kidney" alone may be either, or both
                    yield _entry(name, side, system, kind), [f"{side} {spelling}" for spelling in spellings]


def _entry(base: str, side: str, system: str, kind: str) -> Entry:
    """base: the name without its side."""
    partner = f"{OTHER[side]} {base}" if side and base not in ONE_SIDED else ""
    return Entry(f"{side} {base}".strip(), side, partner, system, kind)


def _unknown(name: str) -> Entry:
    side, rest = _key(name)
    lesion = any(word.startswith(OF_LESIONS) or word.endswith(OF_LESIONS) for word in rest.split())
    return _entry(rest, side, "", "lesion" if lesion else "structure")
