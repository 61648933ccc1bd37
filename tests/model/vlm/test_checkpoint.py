import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoImageProcessor, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from model.imaging.prepare import Prepared
from model.interface.contract import Contract
from model.vlm import checkpoint as folders
from model.vlm.backbone import add_lora, freeze_tower, tiny
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask, Engine, roll_out
from model.vlm.sampling import Sampling
from model.vlm.tower import channels
from tests.model.vlm.conftest import SMALL
from tests.model.vlm.test_engine import question


@pytest.fixture(scope="module")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoints") / "saved"
    folders.save(checkpoint, place)
    return place


def test_a_saved_checkpoint_answers_the_same(folder: Path, checkpoint: Checkpoint, image: Prepared) -> None:
    again = folders.load(folder)
    asked = [(image, question(2))]
    (before,), (after,) = (roll_out(c, asked, Sampling(max_tokens=12)) for c in (checkpoint, again))
    assert before.branch.ids == after.branch.ids
    assert before.logprobs == after.logprobs
    assert again.contract == SMALL


def test_transformers_opens_the_folder_without_our_code(folder: Path, checkpoint: Checkpoint) -> None:
    vlm = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    tokenizer, processor = (
        AutoTokenizer.from_pretrained(folder),
        AutoImageProcessor.from_pretrained(folder, backend="pil"),
    )
    assert torch.equal(vlm.lm_head.weight, checkpoint.vlm.lm_head.weight)
    assert (
        tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
        == "<|im_start|>user\nhi<|im_end|>\n"
    )
    assert processor.patch_size == SMALL.patch


def test_plain_transformers_says_the_same_first_round(folder: Path, checkpoint: Checkpoint, cuboid: Prepared) -> None:
    """Its own weights, pixels, positions and cache, from the folder alone, against our engine, up to the first box."""
    engine = Engine(folders.load(folder))
    (rollout,) = engine.ask([Ask(engine.open(cuboid), question(3))], Sampling(max_tokens=16))
    vlm: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    shown = [picture.transpose(1, 2, 0) for picture in channels(cuboid.slices, SMALL)]
    pixels = processor(images=shown, return_tensors="pt")
    prompt = torch.tensor([rollout.shared.ids + rollout.branch.ids[: rollout.asked]])
    types = torch.tensor([rollout.shared.is_picture + rollout.branch.is_picture[: rollout.asked]]).int()
    vocabulary = checkpoint.vocabulary
    with torch.no_grad():
        said = vlm.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            mm_token_type_ids=types,
            **pixels,
            do_sample=False,
            max_new_tokens=16,
            eos_token_id=[vocabulary.turn_end, vocabulary.box_close],
            suppress_tokens=vocabulary.never_sampled,
        )[0, prompt.shape[1] :].tolist()
    assert len(said) > 1
    assert rollout.branch.ids[rollout.asked :][: len(said)] == said


def test_no_pickle_and_no_stray_file_is_written(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_same_seed_gives_the_same_weights(checkpoint: Checkpoint) -> None:
    a, b, c = (tiny(SMALL, checkpoint.tokenizer, size_of(checkpoint), seed=s) for s in (1, 1, 2))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))


def test_lora_trains_the_language_side_only_and_starts_as_the_base(checkpoint: Checkpoint, image: Prepared) -> None:
    vlm = tiny(SMALL, checkpoint.tokenizer, size_of(checkpoint), seed=1)
    asked = [(image, question(2))]
    before = roll_out(Checkpoint(vlm, checkpoint.tokenizer, SMALL, ""), asked, Sampling(max_tokens=6))[0].logprobs
    freeze_tower(vlm)
    add_lora(vlm, rank=4)
    trained = [name for name, p in vlm.named_parameters() if p.requires_grad]
    assert trained
    assert all("lora_" in name and "language_model" in name for name in trained)
    after = roll_out(Checkpoint(vlm, checkpoint.tokenizer, SMALL, ""), asked, Sampling(max_tokens=6))[0].logprobs
    assert before == pytest.approx(after, abs=1e-6)


def size_of(checkpoint: Checkpoint):
    from model.vlm.backbone import TinySize

    return TinySize(
        hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, tower_hidden=32, tower_layers=2, tower_heads=2, tower_mlp=64
    )


@pytest.mark.parametrize(("told", "channels"), [({}, "grey"), ({"place_channels": True}, "place")])
def test_an_older_contract_means_what_it_meant(
    checkpoint: Checkpoint, tmp_path: Path, told: dict[str, bool], channels: str
) -> None:
    row = json.loads(checkpoint.contract.model_dump_json())
    for name in ("channels", "ct_windows", "plane", "coverage"):
        row.pop(name)
    (tmp_path / "contract.json").write_text(json.dumps(row | {"ct_window_hu": [30, 100]} | told))
    assert Contract.load(tmp_path) == checkpoint.contract.model_copy(
        update={"channels": channels, "ct_windows": ((30.0, 100.0),)}
    )
    checkpoint.contract.save(tmp_path)
    assert Contract.load(tmp_path) == checkpoint.contract
