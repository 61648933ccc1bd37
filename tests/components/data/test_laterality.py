"""No sided structure of any painted head lies on the other side than its name says."""

from collections import Counter

from model.imaging.prepare import prepare
from model.imaging.sides import side_of
from model.interface.contract import Contract
from model.interface.laterality import side_said


def test_every_sided_structure_lies_on_its_side(asked):
    found: Counter[tuple[str, str]] = Counter()
    for one in asked:
        prepared = prepare(one.study.volume, Contract())
        for question in one.questions:
            for remark in question.rationale:
                said = side_said(remark.names)
                if remark.box and said and (side := side_of(prepared.frame.to_model(remark.box), prepared)):
                    found[said, side] += 1
    assert found["left", "right"] == found["right", "left"] == 0
    assert min(found["left", "left"], found["right", "right"]) > 100
    assert found["left", "middle"] + found["right", "middle"] < 0.1 * sum(found.values())
