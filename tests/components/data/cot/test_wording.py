import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cot.wording import QUESTIONS, Words, filled_in, spelled


def test_a_form_is_spelled_out_into_every_sentence_once():
    assert spelled("[On|At] which side[| here]?") == ("On which side?", "On which side here?", "At which side?",
                                                      "At which side here?")  # fmt: skip
    assert spelled("a [b|[c|b] d] e") == ("a b e", "a c d e", "a b d e")
    assert spelled("plain") == ("plain",)


def test_there_are_hundreds_of_ways_to_say_it():
    words = Words()
    assert len(words) > 400
    assert all(len(some) == len(set(some)) for some in words.sentences.values())
    assert sum(map(len, Words(plain=True).sentences.values())) == len(words.sentences)


@pytest.mark.parametrize("key", QUESTIONS)
def test_every_sentence_is_clean(key):
    for sentence in Words().sentences["ask", key]:
        assert not set("[]|") & set(sentence)
        assert "  " not in sentence
        assert sentence[0].isupper()
        assert sentence[-1] in "?."
        assert ("{a}" in sentence) == (key != "kind")


@given(st.integers(0, 999))
def test_a_draw_depends_on_the_stream_alone(seed):
    one, two = (Words().draw("ask", "host", np.random.default_rng(seed)) for _ in range(2))
    assert one == two


def test_a_becomes_an_before_a_vowel():
    assert filled_in("Is there a {a}?", a="enhancing mass") == "Is there an enhancing mass?"
    assert filled_in("Is there a {a} by the {b}?", a="cyst", b="aorta") == "Is there a cyst by the aorta?"
