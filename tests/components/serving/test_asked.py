import pytest

from components.serving.asked import Asked
from model.interface.boxes import Box
from tests.components.serving.told import CONTRACT, blob, question, study, trace


@pytest.mark.parametrize(
    ("said", "told"),
    [("A. Yes", "A. Yes"), ("B.", "B. No"), ("(B)", "B. No"), ("Z.", "Z."), ("B. Yes", "B. Yes"), ("", "no answer")],
)
def test_a_letter_alone_is_told_with_its_option(said: str, told: str) -> None:
    prepared = study()
    lines = Asked(question(), trace(prepared, answer=said), prepared, CONTRACT).lines()
    assert lines[0] == told


def test_an_option_that_is_a_box_is_told_in_the_numbers_the_model_was_shown() -> None:
    prepared = study()
    source = prepared.frame.to_source(blob(prepared))
    asked = question(options=("{0}", "none"), regions=(source,))
    line, evidence, *_ = Asked(asked, trace(prepared, ("At ", blob(prepared)), answer="A."), prepared, CONTRACT).lines()
    box = prepared.frame.to_model(source)
    assert isinstance(box, Box)
    assert line == "A. [" + ",".join(f"{n:g}" for n in box.numbers) + "]"
    assert evidence.startswith("evidence: [")
