"""How questions and rationales are worded: a small grammar, spelled out once into every sentence it allows.

    [On which|At which] side of the body is the {a}?      two sentences

Square brackets hold alternatives and may be nested; {a} and {b} are names, {word} is what was concluded. Which
sentence is taken is drawn without looking at the answer, so that words tell nothing.
"""

import re

import numpy as np

INNERMOST = re.compile(r"\[([^\[\]]*)\]")


def spelled(form: str) -> tuple[str, ...]:
    """Every sentence of a form, in a fixed order, each once."""
    found = INNERMOST.search(form)
    if not found:
        return (form,)
    sentences: dict[str, None] = {}
    for choice in found[1].split("|"):
        sentences |= dict.fromkeys(spelled(form[: found.start()] + choice + form[found.end() :]))
    return tuple(sentences)


QUESTIONS = {
    "which box": (
        "[Which|Which one] of [these|the] boxes [holds|contains|encloses|surrounds] the {a}?",
        "Which box [is drawn around|is around|lies around|shows] the {a}?",
        "[In which|Inside which] [box|of these boxes] [is|lies|do you find] the {a}?",
    ),
    "where": (
        "Where [is|lies|do you see] the {a}?",
        "[Locate|Find|Point at|Mark] the {a}[.| with a box.| in this study.]",
    ),
    "side": (
        "On which side [of the body|of the patient|of this body] [is|lies|do you see] the {a}?",
        "On the patient's left or right: where [is|lies] the {a}?",
        "[Which side|Which side of the body|Which side of the patient] [holds|shows|contains] the {a}?",
    ),
    "host": (
        "[In|Inside|Within] which structure [is|lies|do you see] the {a}?",
        "Which structure [holds|contains|surrounds|is home to] the {a}?",
        "[What|Which structure] does the {a} lie in?",
    ),
    "third": (
        "In which third of the [slices|stack] is the {a} centred?",
        "Which third of the [slices|stack] has the [centre|middle] of the {a}?",
        "Where [along|in] the stack of slices is the [centre|middle] of the {a}?",
    ),
    "quarter": (
        "[In|Inside|Within] which quarter of the picture [is|lies|do you see] the [centre|middle] of the {a}?",
        "Which [quarter|one of the quarters] of the picture [holds|has|contains] the [centre|middle] of the {a}?",
    ),
    "seen": (
        "Is the {a} [seen|visible|shown|in view|to be seen][| here]?",
        "[Can you see|Do you see|Does this study show|Does one see|Can one see] the {a}[| here]?",
    ),
    "lesion seen": (
        "Is there [a|any] {a}[| here| to be seen| in view| in this study]?",
        "[Can you see|Do you see|Does this study show|Does one see|Can one see] [a|any] {a}[| here]?",
    ),
    "larger side": (
        "Which {a} is [larger|bigger|the larger one|the bigger one], [the left or the right one|left or right]?",
        "[Left or right|On the left or on the right]: which {a} is [larger|bigger|the larger one|the bigger one]?",
    ),
    "larger": (
        "[Which|Which one|Which of the two] is [larger|bigger], the {a} or the {b}?",
        "[Of|Among|Comparing] the {a} and the {b}, which [is larger|is bigger|takes up more room]?",
        "[Compare|Look at] the {a} and the {b}: which [is larger|is bigger|takes up more room]?",
    ),
    "relation x": (
        "Is the {a} [|lying ]to the left or to the right of the {b}?",
        "Does the {a} lie to the left or to the right of the {b}?",
        "[Seen from|From] the {b}, is the {a} to the left or to the right?",
    ),
    "relation y": (
        "Is the {a} [in front of or behind|behind or in front of] the {b}?",
        "[Seen from|From] the {b}, is the {a} [in front or behind|behind or in front]?",
    ),
    "relation z": (
        "Is the {a} [above or below|below or above] the {b}?",
        "[Seen from|From] the {b}, is the {a} [above or below|below or above]?",
    ),
    "higher side": (
        "Which {a} [lies|is|sits] [higher|further up], [the left or the right one|left or right]?",
        "[Left or right|On the left or on the right]: which {a} [lies|is|sits] [higher|further up]?",
    ),
    "inside": (
        "Is the {a} [inside|within|contained in|part of] the {b}?",
        "Does the {a} [lie inside|lie within|belong to] the {b}?",
    ),
    "kind": (
        "[What|What kind of|Which kind of|What sort of] lesion is [seen|visible|shown|in view|to be seen][| here]?",
        "[Name the|Name the kind of|Tell the kind of] lesion [that is seen|in view|shown here].",
    ),
    "number": (
        "Is [there one|this one] {a} or [several|more than one]?",
        "[One|A single] {a} or [several|more than one]?",
        "[How many|What number of] pieces does the {a} have, one or [several|more than one]?",
    ),
    "diameter": (
        "How [long|large] is the {a} [along its longest side|across, at its longest side]?",
        "What is the [length|extent] of the {a}'s [longest|largest] side?",
    ),
}
"""By what is asked: forms whose names are {a} and {b}."""

AT = (
    "[The|Here, the|In this study the] {a} [is|lies|is found|is seen] at",
    "[One finds|One sees|I find|I see|Look at] the {a} at",
)
"""Before the box of a thing."""
CLOSER = (
    "[A closer look at|Looking again at|A second look at] the {a}:",
    "[Now|Next,] the {a} itself[| again| more closely]:",
)
"""Before the box of a second look."""
AROUND = (
    "[First|To begin with,] the {a}[| around it]:",
    "[It should lie in|Around it is|It is surrounded by] the {a}, at",
)
"""Before the box of what surrounds the thing asked about."""
CONCLUSIONS = {
    "side": ("[It is|So it is|That is|So it lies] on the {word}.", "[That is|So this is] the {word} side."),
    "host": ("[It is|It lies|So it is|So it lies] [in|inside|within] the {word}.",),
    "third": ("[Its centre|Its middle|The centre|The middle] is in the {word}.",),
    "quarter": ("[Its centre|Its middle|The centre|The middle] is in the {word}.",),
    "larger side": ("The {word} one is [larger|bigger|the larger|the bigger].",),
    "larger": ("[The|So the|Of the two the] {word} is [larger|bigger].",),
    "relation": ("[It is|It lies|So it is|So it lies] {word} the {b}.",),
    "higher side": ("The {word} one [lies|is|sits] [higher|further up].",),
    "inside": ("[It lies|It is|So it lies|So it is] {word} the {b}.",),
    "kind": ("[It is|This is|It looks like|That is] {word}.",),
    "number": ("[There is|There seems to be|I count] {word}.",),
    "diameter": ("[Its longest side is|Along its longest side it is] {word}.",),
    "unseen": ("[No {a} is seen|I see no {a}|The {a} is not seen][.| here.]", "Nothing here is the {a}."),
    "no lesion": ("[No {a} is seen|I see no {a}][.| here.]", "Nothing here is a {a}."),
    "healthy": ("[No lesion is seen|I see no lesion][.| here.]", "Nothing here is a lesion."),
}


class Words:
    """The grammar, spelled out; draws from it."""

    def __init__(self, *, plain: bool = False) -> None:
        """plain: the first sentence of each form list only, as a small model can learn them."""
        groups = {("ask", key): forms for key, forms in QUESTIONS.items()}
        groups |= {("conclude", key): forms for key, forms in CONCLUSIONS.items()}
        groups |= {("box", "at"): AT, ("box", "closer"): CLOSER, ("box", "around"): AROUND}
        self.sentences = {
            key: tuple(dict.fromkeys(s for form in forms for s in spelled(form)))[: 1 if plain else None]
            for key, forms in groups.items()
        }

    def __len__(self) -> int:
        return sum(map(len, self.sentences.values()))

    def draw(self, role: str, key: str, random: np.random.Generator) -> str:
        """A sentence with its {names} still open."""
        some = self.sentences[role, key]
        return some[int(random.integers(len(some)))]


def filled_in(sentence: str, **names: str) -> str:
    """Names put in; "a" before a vowel becomes "an"."""
    for key, name in names.items():
        sentence = sentence.replace(f"a {{{key}}}", f"{article(name)} {{{key}}}").replace(f"{{{key}}}", name)
    return sentence


def article(name: str) -> str:
    return "an" if name[:1] in "aeiou" else "a"
