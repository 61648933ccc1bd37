import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cot.wording import QUESTIONS, Words, filled_in, spelled, with_article
from components.data.sources.anatomy_names import LESIONS, MIDLINE, PAIRED, PAIRED_LESIONS
from components.data.sources.ontology import entry, is_plural

NAMES = [
    name
    for tables, sides in (((PAIRED, PAIRED_LESIONS), ("left ", "right ", "")), ((MIDLINE, LESIONS), ("",)))
    for table in tables
    for system in table.values()
    for line in system.strip().splitlines()
    for side in sides
    if entry(name := side + line.partition("=")[0].strip()).system
]
SINGULAR = re.compile(r"\b(is|does|lies|sits|looks|it|itself|its|one)\b", re.IGNORECASE)
FIXED = re.compile(r"do you (see|find)|of these|(centre|middle|side) is|(?<=oes the  )lie")
PLURAL = re.compile(r"\b(are|do|lie|sit|look|they|them|themselves|their|ones|these|those)\b", re.IGNORECASE)


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
        assert filled_in(sentence, a="liver", b="spleen")[0].isupper()
        assert sentence[-1] in "?."
        assert ("{a}" in sentence) == (key != "kind")


@given(st.integers(0, 999))
def test_a_draw_depends_on_the_stream_alone(seed):
    one, two = (Words().draw("ask", "host", np.random.default_rng(seed)) for _ in range(2))
    assert one == two


def test_a_becomes_an_before_a_vowel():
    assert filled_in("Is there a {a}?", a="enhancing mass") == "Is there an enhancing mass?"
    assert filled_in("Is there a {a} by the {b}?", a="cyst", b="aorta") == "Is there a cyst by the aorta?"


def test_names_of_several_things_are_known_over_the_whole_ontology():
    assert len(NAMES) > 150
    found = {name for name in NAMES if is_plural(name)}
    assert found == {"costal cartilages", "pulmonary veins", "hepatic vessels", "portal and splenic veins"}


@pytest.mark.parametrize("name", ["ribs", "left lung nodules", "lumbar vertebrae", "basal ganglia", "ribs 3", "several",
                                  "metastases", "bones of the skull", "kidneys"])  # fmt: skip
def test_a_user_s_own_plural_is_known(name):
    assert is_plural(name)
    assert not is_plural(f"mass of the {name}")


def agreeing(role: str, key: str) -> list[str]:
    """Sentences in which a word goes with {a}: of the others a plural changes nothing."""
    return [sentence for sentence in Words().sentences[role, key] if re.search(r"\{\w+ a\}", sentence)]


@pytest.mark.parametrize("name", [name for name in NAMES if entry(name).side != "right"])
def test_verbs_and_pronouns_go_with_the_number_of_every_name(name):
    """Over the whole grammar, with each name of the ontology."""
    tried = 0
    for role, key in Words().sentences:
        for sentence in agreeing(role, key):
            said = filled_in(sentence, a=name, b=name, word="liver")
            rest = FIXED.sub("", said.replace(name, ""))
            assert not (SINGULAR if is_plural(name) else PLURAL).search(rest), said
            tried += 1
    assert tried > 150


def test_several_things_are_spoken_of_as_several():
    assert filled_in("{Is a} the {a} at {its a} side?", a="ribs") == "Are the ribs at their side?"
    assert filled_in("{Is a} there a {a}?", a="lung nodules") == "Are there any lung nodules?"
    assert filled_in("There {is word} {word}.", word="several") == "There are several."
    assert filled_in("Around {them b} {is a} the {a}", a="liver", b="cysts") == "Around them is the liver"
    assert (with_article("ribs"), with_article("infarct")) == ("ribs", "an infarct")
