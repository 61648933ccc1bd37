from hypothesis import given
from hypothesis import strategies as st

from components.data.vqa.options import folded, offered, right_of, yes_or_no

TEXTS = st.lists(
    st.text(st.characters(codec="ascii", categories=("L",)), min_size=3, max_size=8), min_size=2, max_size=6,
    unique_by=folded,
).filter(lambda texts: not {"nan"} & set(map(folded, texts)))  # fmt: skip


@given(texts=TEXTS, data=st.data())
def test_letter_and_text_find_the_same_option(texts, data):
    place = data.draw(st.integers(0, len(texts) - 1))
    options = offered(texts)
    letter = "ABCDEF"[place]
    assert right_of(options, letter) == right_of(options, text=texts[place].upper()) == place
    assert right_of(options, letter, texts[place]) == place


@given(texts=TEXTS, style=st.sampled_from(["{}: {}", "{}. {}", "({}) {}", " {}:{}"]))
def test_letters_before_all_options_are_taken_off(texts, style):
    assert offered(map(style.format, "ABCDEF", texts)) == offered(texts)


def test_absent_options_keep_the_letters_of_the_others():
    assert right_of(offered(["a", "-", "c", ""]), "C") == 1


def test_what_cannot_be_told_says_why():
    assert right_of(offered(["a"]), "A") == "fewer than two options"
    assert right_of(offered(["a", " A"]), "A") == "two options are alike"
    assert right_of(offered(["a", "b"])) == "no answer"
    assert right_of(offered(["a", "b"]), "A", "b") == "letter and text name different options"


def test_yes_and_no():
    assert [yes_or_no(said) for said in ("yes", "NO.", "no mass", "")] == [0, 1, None, None]
