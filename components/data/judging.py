"""Questions about what: existence, size, relation to another structure, and what kind of lesion it is."""

import numpy as np

from components.data.labels import ENVELOPE, NAMES
from components.data.lesions import KINDS
from components.data.view import GAP_MM, SIZE_RATIO, Draft, Thing, View, is_sided, twin, with_article
from model.interface.question import Remark

SIDES = (("left", "right"), ("behind", "in front of"), ("below", "above"))
"""By axis (RAS+): what lies at the lower and at the higher coordinate."""

ONE, SEVERAL = "There is one.", "There are several."

# Existence verification


def lesion_there(view: View) -> Draft | None:
    seen = {lesion.name for lesion in view.lesions}
    absent = [kind for kind in KINDS if kind not in seen and kind not in view.scene.hidden]
    if view.lesions and view.random.random() < 0.6:
        lesion = view.lesions[view.random.integers(len(view.lesions))]
        return Draft(f"Is there {with_article(lesion.name)}?", "Yes", ("No",), (lesion.said(),))
    if not absent:
        return None
    name = absent[view.random.integers(len(absent))]
    return Draft(f"Is there {with_article(name)}?", "No", ("Yes",), (Remark(f"No {name} is seen."),))


def tone_there(view: View) -> Draft | None:
    lesion = _of_known_tone(view)
    if lesion is None:
        return None
    right, wrong, told = ("Yes", "No", SEVERAL) if lesion.toned else ("No", "Yes", "No other tone is seen.")
    rationale = (lesion.said(), Remark(told))
    return Draft(f"Is another tone seen in {lesion.the}?", right, (wrong,), rationale, fine=True)


def structure_there(view: View) -> Draft | None:
    """In a slice only: a volume holds every structure."""
    if view.scene.dimension != 2:
        return None
    there = set(np.unique(view.scene.labels).tolist())
    absent = [name for i, name in enumerate(NAMES) if i and i not in there and name not in ENVELOPE]
    if view.random.random() < 0.5 or not absent:
        thing = view.one(view.structures)
        return thing and Draft(f"Is {thing.the} seen?", "Yes", ("No",), (thing.said(),), is_sided(thing.name))
    name = absent[view.random.integers(len(absent))]
    return Draft(f"Is the {name} seen?", "No", ("Yes",), (Remark(f"No {name} is seen."),), is_sided(name))


# Size comparison


def larger_twin(view: View) -> Draft | None:
    pairs = [(thing, view.named(twin(thing.name))) for thing in view.structures if thing.name.startswith("left")]
    clear = [(a, b) for a, b in pairs if b and max(a.size, b.size) >= SIZE_RATIO * min(a.size, b.size)]
    if not clear:
        return None
    a, b = clear[view.random.integers(len(clear))]
    right, wrong = ("left", "right") if a.size > b.size else ("right", "left")
    rationale = (a.said(), b.said(), Remark(f"The {right} one is larger."))
    return Draft(f"Which {a.name.removeprefix('left ')} is larger?", right, (wrong,), rationale, True)


def larger_than_lesion(view: View) -> Draft | None:
    lesion = view.one(view.lesions)
    if lesion is None:
        return None
    bigger = view.random.random() < 0.5
    pool = [
        s
        for s in view.structures
        if (s.size >= SIZE_RATIO * lesion.size if bigger else lesion.size >= SIZE_RATIO * s.size)
    ]
    # of those clearly larger only the nearest in size: else the question answers itself
    pool = sorted(pool, key=lambda s: abs(np.log(s.size / lesion.size)))[:4]
    thing = view.one(pool)
    if thing is None:
        return None
    right, wrong = (thing, lesion) if bigger else (lesion, thing)
    rationale = (lesion.said(), thing.said(), Remark(f"The {right.name} is larger."))
    return Draft(
        f"Which is larger, {lesion.the} or {thing.the}?", right.name, (wrong.name,), rationale, is_sided(thing.name)
    )


# Spatial relationship


CENTRAL = (
    "thalamus",
    "caudate",
    "putamen",
    "lateral ventricle",
    "insula",
    "hippocampus",
    "corpus callosum",
    "brainstem",
)


def relation(view: View) -> Draft | None:
    """A lesion against a structure in the middle of the brain: lesions lie on every side of those."""
    thing = view.one([thing for thing in view.structures if thing.name.endswith(CENTRAL)])
    lesion = view.one([lesion for lesion in view.lesions if lesion.count == 1])
    if thing is None or lesion is None:
        return None
    gap = lesion.centre_mm - thing.centre_mm
    clear = [axis for axis in view.axes if abs(gap[axis]) >= GAP_MM]
    if not clear:
        return None
    axis = clear[view.random.integers(len(clear))]
    lower, upper = SIDES[axis]
    right, wrong = (upper, lower) if gap[axis] > 0 else (lower, upper)
    of = "" if axis else " of"
    text = f"Is {lesion.the} {lower} or {upper}{of} {thing.the}?"
    rationale = (lesion.said(), thing.said(), Remark(f"It is {right}{of} {thing.the}."))
    return Draft(text, right, (wrong,), rationale, axis == 0 or is_sided(thing.name))


# Lesion analysis


def kind(view: View) -> Draft | None:
    if len(view.lesions) > 1 or view.scene.hidden:
        return None
    names = list(KINDS)
    if not view.lesions:
        wrong = tuple(names[k] for k in view.random.permutation(len(names))[:3])
        return Draft("What kind of lesion is seen?", "none", wrong, (Remark("No lesion is seen."),))
    lesion = view.lesions[0]
    others = [name for name in names if name != lesion.name]
    wrong = tuple(others[k] for k in view.random.permutation(len(others))[:2])
    named = Remark(f"It is {with_article(lesion.name)}.")
    rationale = (Remark("A lesion is at", lesion.box, lesion.name, "lesion"), named)
    return Draft("What kind of lesion is seen?", lesion.name, (*wrong, "none"), rationale)


def tone(view: View) -> Draft | None:
    """Too fine for the picture of a whole study: a crop from the source shows it."""
    lesion = _of_known_tone(view)
    if lesion is None:
        return None
    right, wrong, told = ("several", "one", SEVERAL) if lesion.toned else ("one", "several", ONE)
    rationale = (lesion.said(), Remark(told))
    return Draft(f"Is {lesion.the} of one tone or several?", right, (wrong,), rationale, fine=True)


def _of_known_tone(view: View) -> Thing | None:
    return view.one([lesion for lesion in view.lesions if lesion.toned is not None])


def number(view: View) -> Draft | None:
    """One piece or more of a kind that may come in several."""
    lesion = view.one([lesion for lesion in view.lesions if KINDS[lesion.name].near_ventricle])
    if lesion is None:
        return None
    right, wrong = ("one", "several") if lesion.count == 1 else ("several", "one")
    rationale = (lesion.said(), Remark(ONE if right == "one" else SEVERAL))
    return Draft(f"Is there one {lesion.name} or several?", right, (wrong,), rationale)
