"""Both families in the hub's layout, opened and asked: our path against transformers' own forward."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoImageProcessor,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from model.imaging.crop import crop
from model.imaging.prepare import prepare
from model.interface.boxes import Box
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from model.vlm.checkpoint import Checkpoint
from model.vlm.engine import Ask, Engine
from model.vlm.hub import Placing, open_backbone, paper_contract
from model.vlm.sampling import Sampling, dictated
from model.vlm.tower import channels, normalised, patchify
from tests.model.vlm.conftest import volume
from tests.model.vlm.test_engine import cold_logprobs, question

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
"""What Qwen2.5-VL's processor takes off and divides by (its preprocessor_config.json)."""


def contract_of(family: str) -> Contract:
    patch = 14 if family == "qwen2_5_vl" else 16
    side = 2 * patch
    return Contract(
        patch=patch,
        image_side=3 * side,
        volume_side=2 * side,
        slices=4,
        crop_side=2 * side,
        crop_slices=2,
        slice_labels=False,
        channels="grey",
    )


def tiny_weights(family: str, checkpoint: Checkpoint):
    """A random model of the family with its own peculiarities: windows and CLIP's pixels, or deepstack and QK norms."""
    token = checkpoint.tokenizer.convert_tokens_to_ids
    shared: dict[str, Any] = {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
    }
    text: dict[str, Any] = {
        "vocab_size": len(checkpoint.tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": None,
        "eos_token_id": token("<|im_end|>"),
    }
    vision: dict[str, Any] = {
        "depth": 3,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 48,
    }
    torch.manual_seed(2)
    if family == "qwen2_5_vl":
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]}
        vision |= {"patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]}
        config = Qwen2_5_VLConfig(text_config=text | {"rope_parameters": rope}, vision_config=vision, **shared)
        vlm = Qwen2_5_VLForConditionalGeneration(config)
    else:
        rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
        vision |= {"patch_size": 16, "deepstack_visual_indexes": [0, 2], "num_position_embeddings": 64}
        text |= {"rope_parameters": rope, "head_dim": 16}
        vlm = Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, **shared))
    with torch.no_grad():
        for p in vlm.parameters():
            if p.ndim > 1:
                p.mul_(4)
    return vlm


def hub_folder(family: str, checkpoint: Checkpoint, folder: Path) -> Path:
    tiny_weights(family, checkpoint).save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)
    pixels = CLIP if family == "qwen2_5_vl" else {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    told = {"image_processor_type": "Qwen2VLImageProcessor", "merge_size": 2, "temporal_patch_size": 2, **pixels}
    told |= {"patch_size": contract_of(family).patch, "size": {"shortest_edge": 28**2, "longest_edge": 10**6}}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def opened(request, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Checkpoint]:
    folder = hub_folder(request.param, checkpoint, tmp_path_factory.mktemp("hub") / request.param)
    return folder, open_backbone(folder, contract=contract_of(request.param))


def pixels_of(checkpoint: Checkpoint, picture) -> torch.Tensor:
    return normalised(patchify(picture[None], checkpoint.contract), checkpoint.vlm.config.vision_config)[0]


@pytest.mark.parametrize("dimension", [2, 3])
def test_both_families_answer_as_transformers_scores(opened: tuple[Path, Checkpoint], dimension: int) -> None:
    """Two rounds with crops, a follow-up: every sampled token as the family's own forward finds it in the whole row."""
    _, checkpoint = opened
    prepared = prepare(volume((40, 30, 1) if dimension == 2 else (36, 36, 12), 1), checkpoint.contract)
    numbers = (3, 4, 20, 17) if dimension == 2 else (3, 4, 0, 20, 17, 4)
    box = f"<|box_start|>{list(numbers)}<|box_end|>".replace(" ", "")
    said = [checkpoint.vocabulary.own(f"<think>At {box} and {box}.</think>A. Yes<|im_end|>")]
    engine = Engine(checkpoint)
    study = engine.open(prepared)
    (first,) = engine.ask([Ask(study, question(dimension))], Sampling(), keep=True, choose=dictated(said))
    (rollout,) = engine.ask([Ask(study, question(dimension), after=first)], Sampling(), choose=dictated(said))
    shown = crop(prepared, Box.of(numbers), checkpoint.contract) * 4
    assert len(rollout.features) == len(shown)
    cold = cold_logprobs(checkpoint, rollout, [*prepared.slices, *shown])
    row = rollout.shared.ids + rollout.branch.ids
    sampled = [len(rollout.shared) + i for i, t in enumerate(rollout.branch.trained) if t]
    expected = torch.stack([cold[i - 1, row[i]] for i in sampled])
    assert torch.allclose(torch.tensor(rollout.logprobs), expected, atol=1e-4)


def test_pixels_are_those_of_the_familys_own_processor(opened: tuple[Path, Checkpoint]) -> None:
    folder, checkpoint = opened
    prepared = prepare(volume((36, 36, 12), 2), checkpoint.contract)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    shown = [picture.transpose(1, 2, 0) for picture in channels(prepared.slices, checkpoint.contract)]
    theirs = processor(images=shown, return_tensors="pt")["pixel_values"]
    ours = torch.cat([pixels_of(checkpoint, picture) for picture in prepared.slices])
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_saved_by_us_it_opens_the_same(opened: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    """Fine-tuned and saved: pixels, positions and weights survive our own folder."""
    _, checkpoint = opened
    folders.save(checkpoint, tmp_path / "ours")
    again = folders.load(tmp_path / "ours")
    prepared = prepare(volume((36, 36, 12), 2), checkpoint.contract)
    said = []
    for one in (checkpoint, again):
        engine = Engine(one)
        (rollout,) = engine.ask([Ask(engine.open(prepared), question(3))], Sampling(max_tokens=12))
        said.append((rollout.branch.ids, rollout.logprobs))
    assert said[0] == said[1]


def test_without_a_contract_it_is_the_papers_geometry(opened: tuple[Path, Checkpoint]) -> None:
    folder, _ = opened
    contract = open_backbone(folder).contract
    assert contract == paper_contract(open_backbone(folder).vlm)
    assert (contract.volume_side // contract.factor) ** 2 == 81
    assert contract.slices == 32


def test_bf16_is_close_to_fp32(opened: tuple[Path, Checkpoint]) -> None:
    folder, checkpoint = opened
    half = open_backbone(folder, Placing(dtype="bfloat16"), checkpoint.contract)
    prepared = prepare(volume((36, 36, 12), 2), checkpoint.contract)
    said = dictated([checkpoint.vocabulary.own("<think>The left thalamus.</think>A. Yes<|im_end|>")])
    found = []
    for one in (checkpoint, half):
        engine = Engine(one)
        (rollout,) = engine.ask([Ask(engine.open(prepared), question(3))], Sampling(), choose=said)
        found.append(torch.tensor(rollout.logprobs))
    assert half.vlm.dtype == torch.bfloat16
    assert (found[0] - found[1]).abs().mean() < 0.5


def adapted(
    folder: Path, checkpoint: Checkpoint, family: str, place: Path, target: str
) -> tuple[Path, torch.nn.Module]:
    vlm = get_peft_model(
        open_backbone(folder, contract=checkpoint.contract).vlm, LoraConfig(r=2, lora_alpha=4, target_modules=target)
    )
    with torch.no_grad():
        for name, p in vlm.named_parameters():
            if "lora_B" in name:
                p.normal_(generator=torch.Generator().manual_seed(3))
    vlm.save_pretrained(str(place))
    return place, vlm


def test_an_adapter_is_what_it_was_trained_to_be(opened: tuple[Path, Checkpoint], tmp_path: Path) -> None:
    folder, checkpoint = opened
    target = r".*language_model.*\.(q_proj|v_proj|down_proj)"
    place, trained = adapted(folder, checkpoint, "", tmp_path / "lora", target)
    loaded = open_backbone(folder, Placing(adapter=place), checkpoint.contract)
    assert not any("lora" in name for name, _ in loaded.vlm.named_parameters())
    ids = torch.tensor([checkpoint.vocabulary.own("Which box holds the left hippocampus?")])
    with torch.no_grad():
        expected, found, without = (v(input_ids=ids).logits for v in (trained, loaded.vlm, checkpoint.vlm))
    assert torch.allclose(found, expected, atol=1e-3)
    assert not torch.allclose(found, without, atol=1e-1)


def test_adapters_that_reach_the_tower_or_are_pickles_are_refused(
    opened: tuple[Path, Checkpoint], tmp_path: Path
) -> None:
    folder, checkpoint = opened
    place, _ = adapted(folder, checkpoint, "", tmp_path / "lora", r".*visual.*\.(qkv|proj)$")
    with pytest.raises(BadInput, match="changes the tower"):
        open_backbone(folder, Placing(adapter=place))
    (place / "adapter_model.safetensors").rename(place / "adapter_model.bin")
    with pytest.raises(BadInput, match="can't be used") as caught:
        open_backbone(folder, Placing(adapter=place))
    assert "pickles are never opened" in caught.value.where


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("config.json", {"model_type": "llava"}, "found 'llava'"),
        ("config.json", {"auto_map": {"AutoModel": "evil.py"}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.py", None]}}, "auto_map"),
    ],
)
def test_unknown_models_and_code_are_refused(
    file: str, change: dict, told: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = hub_folder("qwen3_vl", checkpoint, tmp_path / "hub")
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(BadInput, match="this model can't be used") as caught:
        open_backbone(folder)
    assert told in caught.value.where
    assert str(tmp_path) not in caught.value.render()


def test_pickled_weights_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = hub_folder("qwen2_5_vl", checkpoint, tmp_path / "hub")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match="weights can't be used"):
        open_backbone(folder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is missing without a GPU")
def test_what_needs_a_gpu_says_so(opened: tuple[Path, Checkpoint]) -> None:
    folder, _ = opened
    for placing in (Placing(four_bit=True), Placing(tower_attention="flash_attention_2")):
        with pytest.raises(BadInput, match="can't be had here"):
            open_backbone(folder, placing)
