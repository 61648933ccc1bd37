import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.interface import prompt
from model.interface.boxes import Box
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


def test_exactly_what_the_assistant_says_is_trained(checkpoint: Checkpoint) -> None:
    """The box's end tag and the token after a crop are; nothing from vision start to vision end is."""
    vocabulary = checkpoint.vocabulary
    branch = ask(Strip(), vocabulary, "where?")
    asked = len(branch)
    remarks = [Remark("The left thalamus is at", Box.of((1, 2, 9, 8))), Remark("It is on the left.")]
    reason(branch, vocabulary, remarks, [[(2, 2)], []], ("A", "left"), flat=True)
    assert not any(branch.trained[:asked])
    inside, seen = False, []
    for i in range(asked, len(branch)):
        inside = inside or branch.ids[i] == vocabulary.vision_open
        assert branch.trained[i] == (not inside)
        if inside and branch.ids[i] == vocabulary.vision_close:
            inside = False
            assert branch.trained[i + 1]
        if branch.trained[i]:
            seen.append(branch.ids[i])
    said = (
        "<think>The left thalamus is at <|box_start|>[1,2,9,8]<|box_end|> It is on the left.</think>A. left<|im_end|>"
    )
    assert vocabulary.text(seen) == said
    assert vocabulary.box_close in seen
    assert branch.ids[-1] == vocabulary.turn_end


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
