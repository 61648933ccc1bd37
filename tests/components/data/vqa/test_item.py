import pytest

from components.data.vqa.item import Item, Report, sides_of, to_question, why_not_askable
from model.interface.errors import BadInput


def item(**changes) -> Item:
    told = {
        "source": "s", "id": "1", "subject": "p", "images": ("a.png",), "text": "Which lung?",
        "options": ("left", "right"), "answer": 0, "answer_text": "left", "split": "test", "family": "", "modality": "",
        "sides": "patient", "licence": "CC0",
    }  # fmt: skip
    return Item(**told | changes)


SAID = {
    ("Which organ is on the left side of this image?", "Liver"): "image",
    ("Which organ is on the left side of the image?", "Liver"): "image",
    ("On which side of the image is the liver?", "Left"): "image",
    ("Where is the lesion?", "Left lung"): "patient",
    ("Is the left lung healthy?", "Yes"): "patient",
    ("Is there a mass?", "Yes"): "unknown",
}


@pytest.mark.parametrize("said", SAID)
def test_whose_sides_are_meant(said):
    assert sides_of(*said, patient=True) == SAID[said]
    assert sides_of(*said, patient=False) == ("unknown" if SAID[said] == "patient" else SAID[said])


def test_sides_that_nobody_knows_are_not_asked_about():
    assert why_not_askable(item(sides="unknown"))
    assert not why_not_askable(item(sides="image"))
    with pytest.raises(BadInput) as caught:
        to_question(item(sides="unknown"), "study", 2)
    assert "s 1: found sides 'unknown'" in caught.value.where


def test_only_the_patient_s_sides_need_a_known_frame():
    assert to_question(item(), "study", 2).laterality
    assert not to_question(item(sides="image"), "study", 2).laterality


@pytest.mark.parametrize(
    "changes", [{"options": ("left",)}, {"answer": None}, {"answer_text": "right"}, {"images": ()}, {"options": ()}]
)
def test_an_item_that_contradicts_itself_cannot_be_made(changes):
    with pytest.raises(ValueError, match="item 1"):
        item(**changes)


def test_a_report_counts_all_and_names_a_few():
    report = Report()
    for k in range(40):
        report.leave_out(f"q{k}", "too dark")
    report.leave_out("q40", "empty")
    assert report.render().splitlines()[1] == "  40: too dark (q0, q1, q2, q3, q4)"
