import json

import pytest

from model.interface.boxes import Box
from model.interface.question import Question, Remark


@pytest.mark.parametrize("fine", [False, True])
def test_a_question_is_read_as_it_was_written_and_fine_is_told_only_where_it_is(fine: bool) -> None:
    remark = Remark("It is at", Box.of((0, 0, 2, 2)), "a mass", "lesion")
    asked = Question("q", "s", "p", "train", 2, "lesion analysis", "?", ("a", "b"), 1, rationale=(remark,), fine=fine)
    told = json.loads(json.dumps(asked.to_json()))
    assert ("fine" in told) == fine
    assert Question.from_json(told) == asked
