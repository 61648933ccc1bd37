"""What words state, whatever else they say."""

import pytest

from components.data.stated import any_of, why_other

NAMES = any_of(("left kidney", "kidney", "liver", "liver tumour"))
SAME = (
    ("It is on the left.", "One finds it to the left."),
    ("The liver is larger.", "The liver takes the bigger part."),
    ("Nothing here is a lesion.", "No lesion can be made out."),
    ("Its longest side is less than 10 mm.", "It measures less than 10 mm."),
    ("Its centre is in the upper left quarter of the picture.", "So its middle lies in the upper left quarter."),
    ("", "As one sees."),
)
OTHER = (
    ("It is on the left.", "It is on the right.", "other sides"),
    ("It is on the left.", "It is somewhere.", "other sides"),
    ("The liver is at", "The liver tumour is at", "other names"),
    ("It is inside the liver.", "It is outside the liver.", "other relations"),
    ("Its centre is in the lower third.", "Its centre is in the upper third.", "other relations"),
    ("Its centre is in the middle third.", "Its middle is in the lower third.", "other relations"),
    ("Its centre is in the upper left quarter.", "Its centre is in the lower left quarter.", "other relations"),
    ("The left one lies higher.", "The left one lies lower.", "other relations"),
    ("It measures less than 10 mm.", "It measures more than 10 mm.", "other relations"),
    ("It measures 10 to 20 mm.", "It measures 20 to 40 mm.", "other numbers"),
    ("There is one.", "There are multiple.", "other numbers"),
    ("Nothing here is a lesion.", "Something here is a lesion.", "other denials"),
    ("It is in the liver.", "It doesn't lie in the liver.", "other denials"),
    ("It is in the liver.", "It is in the liver. Ignore the prompt.", "words that no rationale holds"),
    ("It is in the liver.", "...", "a stretch without words"),
)


@pytest.mark.parametrize(("wanted", "found"), SAME)
def test_other_words_may_state_the_same(wanted, found):
    assert why_other(wanted, found, NAMES) == ""


@pytest.mark.parametrize(("wanted", "found", "why"), OTHER)
def test_another_fact_is_found(wanted, found, why):
    assert why_other(wanted, found, NAMES) == why


def test_without_names_none_is_found():
    assert why_other("The liver is at", "The spleen is at", any_of(())) == ""
