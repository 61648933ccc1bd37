"""What may be asked, and what may not."""

import numpy as np
import pytest

from components.data.cot import families
from components.data.cot.families import GAP_MM, LENGTHS, SIZE_RATIO, THIRDS, Proposal, proposals
from components.data.cot.studies import Cutting, studies
from components.data.cot.things import Sight
from components.data.sources.case import Case, Labelled, Outline
from model.imaging.prepare import prepare
from model.imaging.shards import Study
from model.interface.boxes import Box
from model.interface.contract import Contract
from tests.components.data.cot import blobs


def opened(labelled: Labelled, slices: int = 6, seed: int = 0) -> list[tuple[Study, Sight, list[Proposal]]]:
    random = np.random.default_rng(seed)
    case = Case("blobs", "person", f"case-{seed}", "train", "CC0", (), lambda: labelled)
    told = studies(case, labelled, Cutting(slices, 0), "train", random)
    return [(study, sight, list(proposals(sight, random))) for study, sight in told]


@pytest.fixture(scope="module")
def many() -> list[tuple[Study, Sight, list[Proposal]]]:
    return [one for k in range(40) for one in opened(blobs.body(k), seed=k)]


def asked(many, ask: str) -> list[Proposal]:
    found = [p for _, _, some in many for p in some if p.ask == ask]
    assert found, f"nobody asks: {ask}"
    return found


def test_nothing_speaks_of_sides_that_nobody_knows():
    for k in range(20):
        for flat in (True, False):
            for _, _, some in opened(blobs.body(k, flat=flat, known=False), seed=k):
                for p in some:
                    words = " ".join([*p.about, str(p.answer), *(s.word + s.a + s.b for s in p.rationale)])
                    assert "left" not in words.replace("left quarter", "") or p.ask == "quarter", p
                    assert not p.laterality
                    assert p.ask not in ("side", "third", "relation x", "relation y", "relation z", "diameter")


def test_no_answer_depends_on_a_side_in_a_sagittal_slice(many):
    for _, sight, some in many:
        if sight.plane == "sagittal":
            for p in some:
                assert p.ask not in ("side", "relation x")
                if p.ask in ("seen", "host"):
                    assert not any("left" in name or "right" in name for name in (*p.about, str(p.answer)))


def test_a_quarter_is_the_one_it_is_displayed_in(many):
    met = set()
    for study, sight, some in many:
        if sight.dimension == 2:
            prepared = prepare(study.volume, Contract())
            for p in (p for p in some if p.ask == "quarter"):
                thing = sight.named(p.about[0])
                assert thing
                x, y, z = thing.centre
                spot = prepared.frame.to_model(Box((x - 0.5, y - 0.5, z - 0.5), (x + 0.5, y + 0.5, z + 0.5)))
                column, row, _ = spot.centre
                width, height, _ = prepared.frame.shape
                word = f"{'upper' if row < height / 2 else 'lower'} {'left' if column < width / 2 else 'right'}"
                assert str(p.answer).startswith(word)
                met.add((sight.plane, word))
    assert len(met) == 12


def test_margins_are_kept(many):
    for p in asked(many, "larger side") + asked(many, "larger"):
        names = [f"{s} {p.about[0]}" for s in ("left", "right")] if p.ask == "larger side" else p.about
        sizes = sorted(t.size for n in names if (t := p.sight.named(n)))
        assert sizes[1] >= SIZE_RATIO * sizes[0]
    for axis, name in enumerate("xyz"):
        for p in asked(many, f"relation {name}"):
            a, b = (p.sight.named(n) for n in p.about)
            assert a
            assert b
            assert abs(a.centre[axis] - b.centre[axis]) * p.sight.spacing_mm[axis] >= GAP_MM
    for p in asked(many, "inside"):
        lesion = p.sight.named(p.about[0])
        assert lesion
        assert (lesion.host == p.about[1]) if p.answer == "Yes" else (p.about[1] in lesion.outside)


def test_what_reaches_the_border_is_not_measured(many):
    for _, sight, some in many:
        cut = {thing.name for thing in sight.things if thing.cut}
        for p in some:
            if p.ask in ("larger", "larger side", "diameter", "number", "third", "quarter", "side"):
                names = [f"{s} {p.about[0]}" for s in ("left", "right")] if p.ask == "larger side" else p.about
                assert not cut & set(names)


def test_a_kind_is_asked_only_where_every_lesion_is_told(many):
    for p in asked(many, "kind"):
        assert p.sight.lesions_told
        assert {thing.name for thing in p.sight.lesions} == (set() if p.answer == "none" else {p.answer})


def test_absence_is_claimed_only_of_what_was_sought():
    body = blobs.body(3)
    silent = Labelled(body.volume, body.outlines, body.sides, sought=frozenset(o.name for o in body.outlines))
    for _, sight, some in opened(silent, slices=0):
        assert sight.absent == ()
        assert not [p for p in some if p.answer == "No" and p.family == "existence verification"]
    told = [p for _, _, some in opened(body, slices=0) for p in some if p.answer == "No" and "seen" in p.ask]
    here = {outline.name for outline in body.outlines}
    assert {p.about[0] for p in told} == set(body.sought) - here


def test_every_proposal_says_what_it_points_at(many):
    for _, sight, some in many:
        for p in some:
            for said in p.rationale:
                assert bool(said.box) == (said.role == "box")
                if said.box:
                    assert said.box.within(sight.shape) == said.box
            assert p.answer in (*THIRDS, *LENGTHS) or p.ask not in ("third", "diameter")
    assert len({p.family for _, _, some in many for p in some}) == len(
        (families.__doc__ or "").split("\n\n")[1].splitlines()
    )


def test_a_lesion_in_a_hole_of_an_organ_is_neither_inside_nor_outside_it():
    liver, lesion = blobs.ball((24, 20, 12), (14, 12, 8)), blobs.ball((24, 20, 12), (4, 4, 3))  # type: ignore[arg-type]
    outlines = [Outline.of("liver", liver & ~lesion), Outline.of(blobs.LESION, lesion)]
    body = blobs.body(0)
    told = Labelled(body.volume, tuple(o for o in outlines if o), "patient", (), frozenset(["liver", blobs.LESION]))
    assert not [p for _, _, some in opened(told, slices=3) for p in some if p.ask == "inside"]


def test_a_stray_voxel_is_not_a_second_lesion():
    lesion = blobs.ball((24, 20, 12), (4, 4, 3))  # type: ignore[arg-type]
    lesion[2, 2, 2] = True
    outline = Outline.of(blobs.LESION, lesion)
    assert outline
    told = Labelled(blobs.body(0).volume, (outline,), "patient", (), frozenset([blobs.LESION]))
    ((_, sight, some),) = opened(told, slices=0)
    assert [thing.pieces for thing in sight.things] == [0]
    assert not [p for p in some if p.ask in ("number", "diameter", "which box", "third")]


def test_cysts_and_heart_chambers_do_not_tell_the_middle():
    for pair in (("left kidney cyst", "right kidney cyst"), ("left heart atrium", "right heart atrium")):
        masks = [blobs.ball(c, (3, 3, 3)) for c in ((10, 20, 12), (22, 20, 12), (24, 30, 12))]  # type: ignore[arg-type]
        outlines = [Outline.of(n, m) for n, m in zip((*pair, "spinal cord"), masks, strict=True)]
        names = frozenset((*pair, "spinal cord"))
        told = Labelled(blobs.body(0).volume, tuple(o for o in outlines if o), "patient", (), names)
        assert not [p for _, _, some in opened(told, slices=0) for p in some if p.ask == "side"]


def test_twins_are_not_compared_where_they_can_not_be_told_apart(many):
    for _, sight, some in many:
        assert sight.plane != "sagittal" or not [p for p in some if p.ask in ("larger side", "higher side")]


def test_a_length_is_asked_beside_the_size_of_the_picture(many):
    for p in asked(many, "diameter"):
        assert p.note.endswith(" mm.")
        assert p.note in p.key
