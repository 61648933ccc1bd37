from collections import Counter
from dataclasses import replace

import numpy as np

from components.data.balance import COMMONER, answer_key, balance
from model.interface.boxes import Box
from model.interface.question import Question


def question(
    k: int, text: str, options: tuple[str, ...], answer: int, family: str = "spatial localisation"
) -> Question:
    return Question(f"q{k}", f"s{k}", "9861", "train", 2, family, text, options, answer)


def sided(lefts: int, rights: int, lesion: str = "haemorrhage") -> list[Question]:
    text = f"On which side is the {lesion}?"
    return [question(k, text, ("left", "right"), int(k >= lefts)) for k in range(lefts + rights)]


def kept(questions: list[Question], wanted: int = 1000, **how) -> list[Question]:
    return balance(questions, wanted, np.random.default_rng(0), **how)


def test_of_two_answers_each_is_right_equally_often():
    assert Counter(q.answer for q in kept(sided(30, 7))) == {0: 7, 1: 7}


def test_a_wording_with_one_answer_is_dropped():
    assert kept(sided(30, 0)) == []


def test_of_several_answers_none_is_much_commoner():
    names = ("left putamen", "right putamen", "left thalamus")
    answers = [0] * 30 + [1] * 8 + [2] * 8
    some = [question(k, "In which structure is the haemorrhage?", names, a) for k, a in enumerate(answers)]
    assert Counter(q.answer for q in kept(some)) == {0: COMMONER * 8, 1: 8, 2: 8}


def test_lesions_of_different_kinds_are_levelled_together():
    one, other = sided(6, 0), [*sided(0, 6, "calcification")]
    renamed = [question(100 + k, q.text, q.options, q.answer or 0) for k, q in enumerate(other)]
    assert Counter(q.answer for q in kept([*one, *renamed])) == {0: 6, 1: 6}


def test_boxes_of_structures_are_asked_about_no_more_often_than_boxes_of_lesions():
    def which(k: int, name: str) -> Question:
        return replace(
            question(k, f"Which box holds the {name}?", ("{0}", "{1}"), k % 2, "structure localisation"),
            regions=(Box.of((0, 0, 0, 2, 2, 1)), Box.of((4, 4, 0, 6, 6, 1))),
        )

    some = [which(k, "left putamen") for k in range(30)] + [which(30 + k, "white matter lesion") for k in range(8)]
    assert Counter("lesion" in q.text for q in kept(some)) == {True: 8, False: 8}
    assert len(kept(some, level=False)) == 38


def test_families_take_turns_until_there_are_enough():
    many = sided(20, 20)
    few = [
        question(100 + k, "Is there a haemorrhage?", ("Yes", "No"), k % 2, "existence verification") for k in range(6)
    ]
    assert Counter(q.family for q in kept([*many, *few], wanted=16)) == {
        "spatial localisation": 10,
        "existence verification": 6,
    }


def test_the_order_given_is_kept_and_a_seed_gives_the_same_choice():
    some = sided(30, 20)
    first = kept(some, wanted=25)
    assert first == kept(some, wanted=25)
    order = [some.index(q) for q in first]
    assert order == sorted(order) and len(order) == 25


def test_unlevelled_only_families_are_evened_out():
    assert len(kept(sided(30, 0), level=False)) == 30


def test_the_kind_of_lesion_is_an_answer_only_where_it_is_asked():
    asked = question(0, "What kind of lesion is seen?", ("haemorrhage", "none"), 0, "lesion analysis")
    sized = question(1, "Which is larger, …?", ("haemorrhage", "left putamen"), 0, "size comparison")
    assert (answer_key(asked), answer_key(sized)) == ("haemorrhage", "lesion")


def test_the_fine_questions_of_a_family_count_as_a_family_of_their_own():
    plain = [
        question(i, f"Is there a thing {i % 5}?", ("Yes", "No"), i // 5 % 2, "existence verification")
        for i in range(60)
    ]
    fine = [replace(q, id=f"fine {q.id}", text=f"{q.text} Closer?", fine=True) for q in plain[:20]]
    assert Counter(q.fine for q in kept([*plain, *fine], wanted=20)) == {False: 10, True: 10}
