"""How questions and rationales are worded: a small grammar, spelled out once into every sentence it allows.

    [On which|At which] side of the body is the {a}?      two sentences

Square brackets hold alternatives and may be nested; {a} and {b} are names, {word} is what was concluded. A word that
goes with the number of one of them is written with it: "{is a} the {a}" becomes "is the rib" or "are the ribs". Which
sentence is taken is drawn without looking at the answer, so that words tell nothing.
"""

import re

import numpy as np

from components.data.sources.ontology import is_plural

INNERMOST = re.compile(r"\[([^\[\]]*)\]")
AGREEING = re.compile(r"\{(\w+) (\w+)\}")
NUMBER = {
    "is": ("is", "are"), "Is": ("Is", "Are"), "does": ("does", "do"), "Does": ("Does", "Do"), "lies": ("lies", "lie"),
    "sits": ("sits", "sit"), "looks": ("looks", "look"), "seems": ("seems", "seem"), "one": ("one", "ones"),
    "it": ("it", "they"), "It": ("It", "They"), "them": ("it", "them"), "itself": ("itself", "themselves"),
    "its": ("its", "their"), "Its": ("Its", "Their"), "This": ("This", "These"), "That": ("That", "Those"),
}  # fmt: skip
"""Of one thing and of several."""


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
        "[In which|Inside which] [box|of these boxes] [{is a}|{lies a}|do you find] the {a}?",
    ),
    "where": (
        "Where [{is a}|{lies a}|do you see] the {a}?",
        "[Locate|Find|Point at|Mark] the {a}[.| with a box.| in this study.]",
    ),
    "side": (
        "On which side [of the body|of the patient|of this body] [{is a}|{lies a}|do you see] the {a}?",
        "On the patient's left or right: where [{is a}|{lies a}] the {a}?",
        "[Which side|Which side of the body|Which side of the patient] [holds|shows|contains] the {a}?",
    ),
    "host": (
        "[In|Inside|Within] which structure [{is a}|{lies a}|do you see] the {a}?",
        "Which structure [holds|contains|surrounds|is home to] the {a}?",
        "[What|Which structure] {does a} the {a} lie in?",
    ),
    "third": (
        "In which third of the [slices|stack] {is a} the {a} centred?",
        "Which third of the [slices|stack] has the [centre|middle] of the {a}?",
        "Where [along|in] the stack of slices is the [centre|middle] of the {a}?",
    ),
    "quarter": (
        "[In|Inside|Within] which quarter of the picture [is|lies|do you see] the [centre|middle] of the {a}?",
        "Which [quarter|one of the quarters] of the picture [holds|has|contains] the [centre|middle] of the {a}?",
    ),
    "seen": (
        "{Is a} the {a} [seen|visible|shown|in view|to be seen][| here]?",
        "[Can you see|Do you see|Does this study show|Does one see|Can one see] the {a}[| here]?",
    ),
    "lesion seen": (
        "{Is a} there [a|any] {a}[| here| to be seen| in view| in this study]?",
        "[Can you see|Do you see|Does this study show|Does one see|Can one see] [a|any] {a}[| here]?",
    ),
    "larger side": (
        "Which {a} {is a} [larger|bigger|the [larger|bigger] {one a}], [the left or the right {one a}|left or right]?",
        "[Left or right|On the left or on the right]: which {a} {is a} [larger|bigger|the [larger|bigger] {one a}]?",
    ),
    "larger": (
        "[Which|Which one|Which of the two] is [larger|bigger], the {a} or the {b}?",
        "[Of|Among|Comparing] the {a} and the {b}, which [is larger|is bigger|takes up more room]?",
        "[Compare|Look at] the {a} and the {b}: which [is larger|is bigger|takes up more room]?",
    ),
    "relation x": (
        "{Is a} the {a} [|lying ]to the left or to the right of the {b}?",
        "{Does a} the {a} lie to the left or to the right of the {b}?",
        "[Seen from|From] the {b}, {is a} the {a} to the left or to the right?",
    ),
    "relation y": (
        "{Is a} the {a} [in front of or behind|behind or in front of] the {b}?",
        "[Seen from|From] the {b}, {is a} the {a} [in front or behind|behind or in front]?",
    ),
    "relation z": (
        "{Is a} the {a} [above or below|below or above] the {b}?",
        "[Seen from|From] the {b}, {is a} the {a} [above or below|below or above]?",
    ),
    "higher side": (
        "Which {a} [{lies a}|{is a}|{sits a}] [higher|further up], [the left or the right {one a}|left or right]?",
        "[Left or right|On the left or on the right]: which {a} [{lies a}|{is a}|{sits a}] [higher|further up]?",
    ),
    "inside": (
        "{Is a} the {a} [inside|within|contained in|part of] the {b}?",
        "{Does a} the {a} [lie inside|lie within|belong to] the {b}?",
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
        "How [long|large] {is a} the {a} [along {its a} longest side|across, at {its a} longest side]?",
        "What is the [length|extent] of the [longest|largest] side of the {a}?",
    ),
}
"""By what is asked: forms whose names are {a} and {b}."""

AT = (
    "[The|Here, the|In this study the] {a} [{is a}|{lies a}|{is a} found|{is a} seen] at",
    "[One finds|One sees|I find|I see|Look at] the {a} at",
)
"""Before the box of a thing."""
CLOSER = (
    "[A closer look at|Looking again at|A second look at] the {a}:",
    "[Now|Next,] the {a} {itself a}[| again| more closely]:",
)
"""Before the box of a second look."""
AROUND = (
    "[First|To begin with,] the {a}[| around {them b}]:",
    "[{It b} should lie in|Around {them b} {is a}|{It b} {is b} surrounded by] the {a}, at",
)
"""Before the box of what surrounds the thing asked about, {b}."""
CONCLUSIONS = {
    "side": (
        "[{It a} {is a}|So {it a} {is a}|That is|So {it a} {lies a}] on the {word}.",
        "[That is|So this is] the {word} side.",
    ),
    "host": ("[{It a} {is a}|{It a} {lies a}|So {it a} {is a}|So {it a} {lies a}] [in|inside|within] the {word}.",),
    "third": ("[{Its a} centre|{Its a} middle|The centre|The middle] is in the {word}.",),
    "quarter": ("[{Its a} centre|{Its a} middle|The centre|The middle] is in the {word}.",),
    "larger side": ("The {word} {one a} {is a} [larger|bigger|the larger|the bigger].",),
    "larger": ("[The|So the|Of the two the] {word} {is word} [larger|bigger].",),
    "relation": ("[{It a} {is a}|{It a} {lies a}|So {it a} {is a}|So {it a} {lies a}] {word} the {b}.",),
    "higher side": ("The {word} {one a} [{lies a}|{is a}|{sits a}] [higher|further up].",),
    "inside": ("[{It a} {lies a}|{It a} {is a}|So {it a} {lies a}|So {it a} {is a}] {word} the {b}.",),
    "kind": ("[{It a} {is a}|{This a} {is a}|{It a} {looks a} like|{That a} {is a}] {word}.",),
    "number": ("[There {is word}|There {seems word} to be|I count] {word}.",),
    "diameter": ("[{Its a} longest side is|Along {its a} longest side {it a} {is a}] {word}.",),
    "unseen": ("[No {a} {is a} seen|I see no {a}|The {a} {is a} not seen][.| here.]", "The {a} {is a} not here."),
    "no lesion": ("[No {a} {is a} seen|I see no {a}][.| here.]", "There {is a} no {a} here."),
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
    """Names put in; what goes with their number agrees, "a" before a vowel becomes "an", before a plural "any"."""
    sentence = AGREEING.sub(lambda found: NUMBER[found[1]][is_plural(names[found[2]])], sentence)
    for key, name in names.items():
        first = "any" if is_plural(name) else article(name)
        sentence = sentence.replace(f"a {{{key}}}", f"{first} {{{key}}}").replace(f"{{{key}}}", name)
    return sentence


def with_article(name: str) -> str:
    return name if is_plural(name) else f"{article(name)} {name}"


def article(name: str) -> str:
    return "an" if name[:1] in "aeiou" else "a"
