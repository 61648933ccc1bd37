"""Token strips: ids, mRoPE positions, and which tokens are pictures or are trained on.

A strip only grows. Its positions are Qwen2.5-VL's (text: one step on all three axes; a picture:
row and column offsets from one start, after which text goes on behind its longer side), kept as
the strip is written, so that a conversation never has to be laid out again:

    shared   <|im_start|>system…user  [0: picture] [1: picture] …      once a study
    branch   question, options <|im_end|> … assistant <think>… box [crops] …   one a question or sample

A branch continues its shared strip; many branches hang on one (`model.learning.packing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerFast

from model.interface import prompt
from model.interface.contract import Contract
from model.interface.grammar import BOX_CLOSE, BOX_OPEN, THINK_OPEN, TURN_END, write_answer, write_box
from model.interface.question import Remark
from model.vlm.tokenizer import IMAGE, NEVER_SAMPLED, TURN_START, VISION_CLOSE, VISION_OPEN

Grid = tuple[int, int]
"""Visual tokens of a picture: (rows, columns)."""


class Vocabulary:
    """Text to ids, with the few special ids by name."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.vision_open, self.image, self.vision_close = map(self.id, (VISION_OPEN, IMAGE, VISION_CLOSE))
        self.box_open, self.box_close, self.turn_end = self.id(BOX_OPEN), self.id(BOX_CLOSE), self.id(TURN_END)
        self.never_sampled = [self.id(name) for name in NEVER_SAMPLED]

    def id(self, name: str) -> int:
        return int(self.tokenizer.convert_tokens_to_ids(name))  # pyright: ignore[reportArgumentType]

    def plain(self, text: str) -> list[int]:
        """Foreign text: a special token spelled out in it stays mere characters."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def own(self, text: str) -> list[int]:
        """Text we wrote: tags become their special tokens."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def text(self, ids: Sequence[int]) -> str:
        """Ids back to text, special tokens kept (the grammar reads them)."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)  # pyright: ignore[reportReturnType]


@dataclass(slots=True)
class Strip:
    start: int = 0
    """First position; a branch starts where its shared strip ended."""
    ids: list[int] = field(default_factory=list)
    places: list[tuple[int, int, int]] = field(default_factory=list)
    """mRoPE position (temporal, row, column) of each token."""
    is_picture: list[bool] = field(default_factory=list)
    """Where a visual feature stands in for the embedding; never guessed from ids."""
    trained: list[bool] = field(default_factory=list)
    """Tokens the model is responsible for: sampled ones in a rollout, the assistant's in SFT."""
    end: int = -1

    def __post_init__(self) -> None:
        self.end = self.start if self.end < 0 else self.end

    def __len__(self) -> int:
        return len(self.ids)

    def write(self, ids: Sequence[int], *, trained: bool = False) -> None:
        self.ids += ids
        self.places += [(p, p, p) for p in range(self.end, self.end + len(ids))]
        self.is_picture += [False] * len(ids)
        self.trained += [trained] * len(ids)
        self.end += len(ids)

    def show(self, grid: Grid, vocabulary: Vocabulary) -> None:
        """A picture, whole: start tag, its tokens, end tag. None of them is trained."""
        rows, columns = grid
        self.write([vocabulary.vision_open])
        self.ids += [vocabulary.image] * (rows * columns)
        self.places += [(self.end, self.end + r, self.end + c) for r in range(rows) for c in range(columns)]
        self.is_picture += [True] * (rows * columns)
        self.trained += [False] * (rows * columns)
        self.end += max(rows, columns)
        self.write([vocabulary.vision_close])


def open_study(vocabulary: Vocabulary, grids: Sequence[Grid], dimension: int, contract: Contract) -> Strip:
    """The shared strip: system turn, and the user turn up to the last picture."""
    strip = Strip()
    system, user = vocabulary.own(f"{TURN_START}system\n"), vocabulary.own(f"{TURN_END}\n{TURN_START}user\n")
    strip.write([*system, *vocabulary.own(prompt.system(dimension)), *user])
    for z, grid in enumerate(grids):
        if dimension == 3:
            strip.write(vocabulary.own(prompt.slice_label(z, contract)))
        strip.show(grid, vocabulary)
    return strip


def ask(shared: Strip, vocabulary: Vocabulary, user_text: str) -> Strip:
    """A branch up to where the assistant begins to speak."""
    branch = Strip(start=shared.end)
    branch.write(vocabulary.plain(user_text))
    branch.write(vocabulary.own(f"{TURN_END}\n{TURN_START}assistant\n"))
    return branch


def ask_again(answered: Strip, vocabulary: Vocabulary, user_text: str) -> Strip:
    """A branch that follows up a finished one, up to where the assistant speaks again; only what comes is trained."""
    branch = Strip(
        answered.start,
        list(answered.ids),
        list(answered.places),
        list(answered.is_picture),
        [False] * len(answered),
        answered.end,
    )
    closing = "" if answered.ids[-1] == vocabulary.turn_end else TURN_END  # a truncated turn is closed for it
    branch.write(vocabulary.own(f"{closing}\n{TURN_START}user\n"))
    branch.write(vocabulary.plain(user_text))
    branch.write(vocabulary.own(f"{TURN_END}\n{TURN_START}assistant\n"))
    return branch


def reason(
    branch: Strip,
    vocabulary: Vocabulary,
    remarks: Sequence[Remark],
    crops: Sequence[Sequence[Grid]],
    answer: tuple[str, str],
    *,
    flat: bool,
) -> None:
    """Append a teacher's grounded answer: every word trained, every crop only shown.

    remarks: boxes in model space. crops: the grids shown after each remark's box, () for none.
    answer: letter and option text.
    """
    opening = THINK_OPEN
    for remark, grids in zip(remarks, crops, strict=True):
        box = " " + write_box(remark.box, flat=flat) if remark.box else ""
        branch.write(vocabulary.own(opening + remark.text + box), trained=True)
        for grid in grids:
            branch.show(grid, vocabulary)
        opening = " "
    branch.write(vocabulary.own(write_answer(*answer) + TURN_END), trained=True)
