"""Lesions with a centre of another tone: what is painted, what is known of it, and what is asked."""

import re

import numpy as np
import pytest
from scipy import ndimage as ndi

from components.data import contrasts, studies
from components.data.lesions import KINDS
from components.data.questions import ask
from components.data.studies import LEAST_CENTRE_MM, Head
from model.imaging.volume import SLICE_AXIS
from model.interface.question import FAMILIES, Question, Remark
from tests.components.data.conftest import GRID, Asked

TONE = re.compile(r"Is another tone seen in the (.+)\?|Is the (.+) of one tone or several\?")
SEEDS = range(48)


def painted(anatomy, k: int, *, centres: bool) -> Head:
    random = np.random.default_rng([31, k])
    return studies.make_head(random, f"h{k}", "train", anatomy["9861"], contrasts.TRAINED, GRID, centres=centres)


@pytest.fixture(scope="module")
def toned(anatomy) -> list[Head]:
    return [painted(anatomy, k, centres=True) for k in SEEDS]


@pytest.fixture(scope="module")
def about(toned) -> list[Asked]:
    found = []
    for k, some in enumerate(toned):
        random = np.random.default_rng([32, k])
        for study, scene in [studies.whole(some), *studies.slices(random, some, 3)]:
            found.append(Asked(some, study, scene, ask(scene, 12, random)))
    return found


def asked_of_tone(about: list[Asked]) -> list[tuple[Asked, Question, str]]:
    return [(a, q, m[1] or m[2]) for a in about for q in a.questions if (m := TONE.fullmatch(q.text))]


def cut(a: Asked, mask: np.ndarray) -> np.ndarray:
    """A head's mask as the study shows it."""
    if a.scene.dimension == 3:
        return mask
    return np.take(mask, [int(a.study.id.rsplit("-", 1)[1])], SLICE_AXIS[a.scene.plane])


def test_a_head_differs_by_the_centres_alone(anatomy, toned):
    changed = 0
    for k in SEEDS:
        plain, some = painted(anatomy, k, centres=False), toned[k]
        assert np.array_equal(plain.labels, some.labels)
        assert [(one.kind, one.core.sum()) for one in plain.lesions] == [
            (one.kind, one.core.sum()) for one in some.lesions
        ]
        near = np.zeros_like(some.labels, bool)
        for lesion in some.lesions:
            if lesion.toned:
                assert lesion.centre is not None and not (lesion.centre & ~lesion.core).any()
                near |= np.asarray(ndi.binary_dilation(lesion.centre, iterations=10), bool)
        differs = plain.voxels != some.voxels
        assert not (differs & ~near).any()
        changed += bool(differs.any())
    assert changed > 5


def test_half_of_those_that_may_have_a_centre_have_it_and_the_others_are_of_kinds_without(toned):
    may = [lesion for some in toned for lesion in some.lesions if some.contrast in KINDS[lesion.kind].centre]
    assert all(lesion.centre is not None for lesion in may)
    assert 0.25 < np.mean([lesion.toned for lesion in may]) < 0.75 and len(may) > 12
    rest = [lesion for some in toned for lesion in some.lesions if some.contrast not in KINDS[lesion.kind].centre]
    assert rest and not any(lesion.toned or lesion.centre is not None for lesion in rest)


def test_the_answer_is_what_was_painted_and_shows_in_the_source(about):
    answers = set()
    for a, q, kind in asked_of_tone(about):
        lesion = next(one for one in a.head.lesions if one.kind == kind)
        assert q.answer is not None and lesion.centre is not None
        answers.add((q.family, right := q.options[q.answer]))
        assert lesion.toned == (right in ("several", "Yes"))
        centre, core = cut(a, lesion.centre), cut(a, lesion.core)
        edge = core & ~np.asarray(ndi.binary_dilation(centre), bool)
        if lesion.toned:  # nearly every voxel of the one is on one side of nearly every voxel of the other
            shown = np.clip(a.study.volume.voxels.astype(float), -5, 85 if a.scene.contrast == "CT" else 255)
            inner, outer = shown[centre], shown[edge]
            above = (inner[:, None] > outer[None]).mean()
            assert max(above, 1 - above) > 0.85
    assert answers == {
        ("existence verification", "Yes"), ("existence verification", "No"),
        ("lesion analysis", "one"), ("lesion analysis", "several"),
    }  # fmt: skip


def test_the_size_of_what_is_asked_about_gives_nothing_away(about):
    """A lesion whose centre would be too small to see isn't asked about, whether it has one or not."""
    for a, _, kind in asked_of_tone(about):
        lesion = next(one for one in a.head.lesions if one.kind == kind)
        assert lesion.centre is not None
        across = SLICE_AXIS[a.scene.plane] if a.scene.dimension == 2 else None
        unit = np.prod([mm for axis, mm in enumerate(a.scene.spacing_mm) if axis != across])
        assert cut(a, lesion.centre).sum() * unit >= LEAST_CENTRE_MM[a.scene.dimension]


def test_the_lesion_is_pointed_at_before_its_tone_is_told(about):
    told = {
        "Yes": "There are several.", "several": "There are several.",
        "one": "There is one.", "No": "No other tone is seen.",
    }  # fmt: skip
    for _, q, kind in asked_of_tone(about):
        lesion, last = q.rationale
        assert lesion.box and (lesion.text, lesion.kind) == (f"The {kind} is at", "lesion")
        assert q.answer is not None and last == Remark(told[q.options[q.answer]])


def test_both_families_ask_and_no_other_and_of_heads_without_centres_none_does(about, asked):
    assert (
        {q.family for _, q, _ in asked_of_tone(about)} == {"existence verification", "lesion analysis"} < set(FAMILIES)
    )
    assert {q.dimension for _, q, _ in asked_of_tone(about)} == {2, 3}
    assert not asked_of_tone(asked)
