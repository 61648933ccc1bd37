import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.interface import prompt
from model.interface.boxes import Box
from model.interface.grammar import write_box
from model.interface.question import Remark
from model.vlm.checkpoint import Checkpoint
from model.vlm.tokens import Strip, ask, open_study, reason
from tests.model.vlm.conftest import SMALL

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
GRIDS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=5)


@given(pictures=GRIDS, crops=GRIDS, words=st.integers(1, 9))
@QUIET
def test_positions_are_those_of_get_rope_index(pictures: list, crops: list, words: int, checkpoint: Checkpoint) -> None:
    """Prompt, text, crop, text, … grown bit by bit = the whole row laid out by transformers."""
    vocabulary, merge = checkpoint.vocabulary, SMALL.merge
    shared = open_study(vocabulary, pictures, 3, SMALL)
    branch = ask(shared, vocabulary, "where? " * words)
    for grid in crops:
        branch.write(vocabulary.own("<think>at"), trained=True)
        branch.show(grid, vocabulary)
    branch.write(vocabulary.own("</think>A."), trained=True)
    types = torch.tensor([shared.is_picture + branch.is_picture]).int()
    thw = torch.tensor([[1, rows * merge, columns * merge] for rows, columns in [*pictures, *crops]])
    expected, _ = checkpoint.vlm.model.get_rope_index(
        torch.tensor([shared.ids + branch.ids]), types, image_grid_thw=thw
    )
    assert torch.tensor(shared.places + branch.places).T.tolist() == expected[:, 0].tolist()


def test_the_prompt_is_what_the_chat_template_writes(checkpoint: Checkpoint) -> None:
    vocabulary, grids = checkpoint.vocabulary, [(2, 2)] * 3
    text = prompt.user_text("Which box holds the left hippocampus?", ("Yes", "No"))
    shared = open_study(vocabulary, grids, 3, SMALL)
    mine = shared.ids + ask(shared, vocabulary, text).ids
    content = [
        part for z in range(3) for part in ({"type": "text", "text": prompt.slice_label(z, SMALL)}, {"type": "image"})
    ]
    messages = [
        {"role": "system", "content": prompt.system(3)},
        {"role": "user", "content": [*content, {"type": "text", "text": text}]},
    ]
    written = checkpoint.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    expanded = str(written).replace("<|image_pad|>", "<|image_pad|>" * 4)
    assert vocabulary.own(expanded) == mine


@st.composite
def rationales(draw: st.DrawFn) -> tuple[list[Remark], list[list[tuple[int, int]]], bool]:
    """Remarks, the grids shown after each one's box, and whether the study is an image."""
    flat, remarks, shown = draw(st.booleans()), [], []
    number = st.integers(0, 120)
    for text in draw(st.lists(st.sampled_from(["The left thalamus is at", "It is on the left.", "No lesion"]))):
        low = draw(st.tuples(number, number, st.just(0) if flat else number))
        size = draw(st.tuples(*[st.integers(1, 99)] * 3))
        points = draw(st.booleans())
        high = tuple(a + b for a, b in zip(low, (*size[:2], 1 if flat else size[2]), strict=True))
        remarks.append(Remark(text, Box.of((*low, *high)) if points else None))
        shown.append(draw(GRIDS) if points else [])
    return remarks, shown, flat


@given(rationale=rationales(), option=st.sampled_from(["", "left", "the left thalamus"]))
@QUIET
def test_exactly_what_the_assistant_says_is_trained(rationale: tuple, option: str, checkpoint: Checkpoint) -> None:
    """Tags of boxes and the token after a crop are; the question and all from vision start to vision end are not."""
    remarks, shown, flat = rationale
    vocabulary = checkpoint.vocabulary
    branch = ask(Strip(), vocabulary, "where?")
    asked = len(branch)
    reason(branch, vocabulary, remarks, shown, ("A", option), flat=flat)
    said = [i for i, trained in zip(branch.ids, branch.trained, strict=True) if trained]
    thought = " ".join(r.text + (f" {write_box(r.box, flat=flat)}" if r.box else "") for r in remarks)
    letter = f"A. {option}" if option else "A."
    assert vocabulary.text(said) == (f"<think>{thought}" if remarks else "") + f"</think>{letter}<|im_end|>"
    told = [i for i, trained in zip(branch.ids[asked:], branch.trained[asked:], strict=True) if not trained]
    assert not any(branch.trained[:asked])
    assert told == [
        token
        for rows, columns in (grid for grids in shown for grid in grids)
        for token in (vocabulary.vision_open, *[vocabulary.image] * (rows * columns), vocabulary.vision_close)
    ]


def test_every_coordinate_is_one_token(checkpoint: Checkpoint) -> None:
    ids = [checkpoint.vocabulary.own(str(n)) for n in range(256)]
    assert {len(i) for i in ids} == {1}
    assert len({i[0] for i in ids}) == 256


@given(st.text(max_size=60))
@QUIET
def test_any_text_survives_and_never_becomes_a_special_token(checkpoint: Checkpoint, text: str) -> None:
    ids = checkpoint.vocabulary.plain(text)
    assert not set(ids) & set(checkpoint.tokenizer.all_special_ids)
    text = text.encode("utf-8", "replace").decode()
    assert checkpoint.vocabulary.text(checkpoint.vocabulary.plain(text)) == text


@pytest.mark.parametrize("tag", ["<|im_end|>", "<|image_pad|>", "<think>", "<|box_end|>"])
def test_a_tag_in_foreign_text_stays_characters(checkpoint: Checkpoint, tag: str) -> None:
    assert len(checkpoint.vocabulary.own(tag)) == 1
    assert checkpoint.vocabulary.id(tag) not in checkpoint.vocabulary.plain(f"what is {tag}?")
