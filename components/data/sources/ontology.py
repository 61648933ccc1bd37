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
from model.interface.errors import BadInput

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
    "tumour", "cancer", "carcinoma", "metastas", "lesion", "nodule", "oedema", "haemorrhage", "haematoma", "infarct",
    "melanoma", "schwannoma", "glioma", "aneurysm", "fracture", "effusion",
)  # fmt: skip
"""How a word of a lesion begins or ends: an unknown name with one is no structure."""
LESIONS_THEMSELVES = ("cyst", "mass", "polyp", "stone")
"""Words of lesions that begin or end others' too: a masseter is none."""
ENDS_ALONE = ("ss", "us", "is")
ONE = (
    "pancreas", "accumbens", "iliopsoas", "psoas", "lens", "pons", "atlas", "biceps", "triceps", "quadriceps",
    "ascites",
)  # fmt: skip
MANY = ("several", "ganglia", "nuclei", "atria", "ossa", "teeth", "testes", "feet")
"""Words that end like more than one thing and are one, or the other way round."""
SHORT = {"l": "left", "lt": "left", "r": "right", "rt": "right"}
"""A side at either end of a name."""


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


@cache
def is_plural(name: str) -> bool:
    """Of a name as it is spelled in a sentence: the last word before "of" tells, numbers left out."""
    words = [word for word in name.partition(" of ")[0].lower().split() if word.isalpha()]
    last = words[-1] if words else ""
    if last in ONE or last in MANY:
        return last in MANY
    return last.endswith("ae") or (last.endswith("s") and not last.endswith(ENDS_ALONE))


def canonical(source_name: str) -> str | None:
    """How we spell a set's name, None where the table doesn't know it."""
    return _spellings().get(_key(source_name))


def named(source_name: str) -> tuple[str, str]:
    """(a name that is always usable, a warning or ""): of an unknown one its own, cleaned, with the side first."""
    known = canonical(source_name)
    if known:
        return known, ""
    cleaned = " ".join(filter(None, _key(source_name)))
    if not cleaned:
        raise BadInput(
            "a label's name has no letters",
            where=f"names: found {source_name!r}, wanted a name of letters or digits",
            next="name it in the set's table, or leave it out by an empty name",
        )
    return cleaned, f"label {source_name!r} is not in the ontology: taken as {cleaned!r}, of no known organ system"


def named_all(table: Mapping[int, str]) -> tuple[dict[int, str], tuple[str, ...]]:
    """A set's own table of label values -> the same in our names, without background, and what had to be assumed.

    An empty name stays empty: nothing is made of that value.
    """
    found = {value: named(name) if name else ("", "") for value, name in table.items() if value != 0}
    spelled: dict[str, str] = {}
    for value, (name, warning) in found.items():
        if warning and spelled.setdefault(name, table[value]) != table[value]:
            raise BadInput(
                "two labels would have one name",
                where=f"names: found {spelled[name]!r} and {table[value]!r}, wanted names that differ in their words",
                next="rename one of them in the set's table",
            )
    return {value: name for value, (name, _) in found.items()}, tuple(told for _, told in found.values() if told)


def _key(source_name: str) -> tuple[str, str]:
    """(side, the rest), in lower case and British."""
    found: list[str] = re.findall(r"(?:[^\W_]|&)+", source_name.lower())
    words = [BRITISH.get(word, word) for word in found]
    if len(words) > 1 and not any(word in SIDES for word in words):  # "Kidney L", "rt lung", "lung_right"
        for end in (0, -1):
            if words[end] in SHORT:
                words[end] = SHORT[words[end]]
                break
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
    words = rest.split()
    lesion = any(word.startswith(OF_LESIONS) or word.endswith(OF_LESIONS) for word in words)
    lesion |= any(word in words or f"{word}s" in words for word in LESIONS_THEMSELVES)
    return _entry(rest, side, "", "lesion" if lesion else "structure")
