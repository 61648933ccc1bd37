"""Malformed answers of a model: none is refused, each fault is a `Flaw` in the trace."""

from tests.bad_input.case import READ, WARNED, Case, cases_of
from tests.bad_input.openers import ANSWER


def box(numbers: str) -> bytes:
    return f"<think>It is at <|box_start|>{numbers}<|box_end|>.</think>A. Yes".encode()


BOXES = (
    ("three numbers", "three numbers", "[1,2,3]", ("3 numbers, expected 4 or 6",)),
    ("five numbers", "five numbers", "[1,2,3,4,5]", ("5 numbers, expected 4 or 6",)),
    ("nothing", "no number", "[]", ("not a number",)),
    ("words", "words", "[a,b,c,d,e,f]", ("not a number: 'a'",)),
    ("underscore", "1_0, which Python takes for ten", "[1_0,2,3,40,5,6]", ("not a number: '1_0'",)),
    ("other digits", "digits of another script", "[１,2,3,4,5,6]", ("not a number: '１'",)),
    ("infinite", "inf", "[1,2,3,inf,5,6]", ("not a number: 'inf'",)),
    ("NaN", "nan", "[nan,2,3,4,5,6]", ("not a number: 'nan'",)),
    ("exponent", "1e400", "[1,2,3,1e400,5,6]", ("not a number: '1e400'",)),
    ("endless number", "10,000 digits", f"[{'9' * 10_000},2,3,4,5,6]", ("not a number",)),
    ("reversed", "a far corner before the near one", "[9,2,3,4,5,6]", ("x runs from 9.0 to 4.0",)),
    ("flat", "no slice between its ends", "[1,2,3,4,5,3]", ("z runs from 3.0 to 3.0",)),
    ("outside", "a box past the last column", "[1,2,3,99,5,6]", ("outside 64x64x32",)),
    ("negative", "a box before the first column", "[-5,2,3,9,5,6]", ("outside 64x64x32",)),
    ("everything", "a box around all there is", "[0,0,0,64,64,32]", ("covers everything",)),
    ("of an image", "four numbers in a volume", "[1,2,30,40]", ("4 numbers, expected 6",)),
    ("round brackets", "round brackets", "(1,2,3,4,5,6)", ("unpaired",)),
)
TEXTS = (
    ("empty", "nothing said", b"", ("no <think>",)),
    ("no thought", "an answer without a thought", b"A. Yes", ("no <think>",)),
    ("two thoughts", "two thoughts", b"<think>a</think><think>b</think>A. Yes", ("more than one <think>",)),
    ("open box", "a box that isn't closed", b"<think>at <|box_start|>[1,2,3,4,5,6]</think>A. Yes", ("unpaired",)),
    ("closed box", "a box that wasn't opened", b"<think>at [1,2,3,4,5,6]<|box_end|></think>A. Yes", ("unpaired",)),
    ("box in a box", "a box in a box",
     b"<think>at <|box_start|>[1,<|box_start|>[1,2,3,4,5,6]<|box_end|>]<|box_end|></think>A. Yes", ("unpaired",)),
    ("many boxes", "20,000 boxes that aren't closed", lambda: b"<think>" + b"<|box_start|>[" * 20_000, ("unpaired",)),
    ("another letter", "option C of two", b"<think>a</think>C. Yes", ("option C of 2",)),
    ("contradiction", "one option's letter with another's words", b"<think>a</think>A. No", ("option A is 'Yes'",)),
)  # fmt: skip
FINE = (("good", "nothing", box("[1,2,3,4,5,6]"), ()),)
CASES: list[Case] = [
    *cases_of("box", [(n, wrong, "volume.txt", box(numbers), words) for n, wrong, numbers, words in BOXES],
              WARNED, ANSWER),
    *cases_of("box", [("of a volume", "six numbers on an image", "image.txt", box("[1,2,3,4,5,6]"),
                       ("6 numbers, expected 4"))], WARNED, ANSWER),
    *cases_of("answer", [(n, wrong, "volume.txt", raw, words) for n, wrong, raw, words in TEXTS], WARNED, ANSWER),
    *cases_of("answer", [(n, wrong, "volume.txt", raw, words) for n, wrong, raw, words in FINE], READ, ANSWER),
]  # fmt: skip
