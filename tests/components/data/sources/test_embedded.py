from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from components.data.anatomy import CACHE
from components.data.labels import ENVELOPE, NAMES
from components.data.lesions import KINDS
from components.data.sources import embedded
from components.data.sources.case import Case, Labelled
from components.data.sources.ontology import canonical


@pytest.fixture(scope="module")
def listed() -> list[Case]:
    return list(islice(embedded.cases(Path()), 36))


@pytest.fixture(scope="module")
def opened(listed) -> list[Labelled]:
    return [case.open() for case in listed[:16]]


def test_a_head_has_its_structures_on_the_right_side_of_it(opened):
    for labelled in opened:
        assert labelled.volume.shape == embedded.GRID.shape
        assert labelled.sides == "patient"
        middle = {o.name: np.argwhere(o.inside).mean(0)[0] + o.low[0] for o in labelled.outlines}
        for name in (n for n in middle if n.startswith("left ")):
            assert middle[name] < middle[name.replace("left", "right")]


def test_what_is_painted_but_not_plain_to_see_is_doubtful_and_not_sought(opened):
    assert any(labelled.doubtful for labelled in opened)
    for labelled in opened:
        outlined = {outline.name for outline in labelled.outlines}
        assert outlined <= labelled.sought <= {*NAMES, *KINDS}
        assert labelled.sought | labelled.doubtful >= set(KINDS)
        assert not labelled.sought & labelled.doubtful
        assert not labelled.sought & set(ENVELOPE)
        assert all(canonical(name) == name for name in labelled.sought)


def test_nobody_is_in_two_splits_and_five_of_six_heads_are_for_training(listed):
    splits = {(case.subject, case.split) for case in listed}
    assert len(splits) == len({subject for subject, _ in splits}) == 7
    assert sum(case.split == "train" for case in listed) == 30
    assert all(len(case.files) == 1 + (case.subject != "cvs_avg35") for case in listed)
    assert "FreeSurfer" in listed[0].licence


def test_opening_again_or_from_a_named_cache_is_the_same(listed, opened):
    again = next(islice(embedded.cases(CACHE), 3, None)).open()
    assert again.volume.digest == opened[3].volume.digest
    assert len(again.outlines) == len(opened[3].outlines)
    pairs = zip(again.outlines, opened[3].outlines, strict=True)
    assert all((a.inside == b.inside).all() and a.low == b.low for a, b in pairs)
    assert opened[3].volume.digest != opened[8].volume.digest, "the same person, another head"
