"""What moves and what stands still; what is published of it."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from components.training import progress, strategies
from components.training.config import Lora
from components.training.launch import Workers
from components.training.sft import SftConfig, train
from components.training.strategies import open_base, publish, tuned
from model.interface.errors import BadInput
from model.vlm import checkpoint as folders
from model.vlm.backbone import open_weights
from model.vlm.hub import Placing, _settings
from tests.components import world
from tests.components.training.test_sft import FolderSaves, gradients_of, largest_difference

NEW = "<think>"
"""Stands for a token that is new to the model."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SftConfig:
    root = tmp_path_factory.mktemp("strategies")
    return SftConfig(
        base=world.checkpoint(root / "base"),
        data=world.data(root / "data"),
        epochs=1,
        studies=6,
        save_every=1,
        lr=1e-2,
    )


@pytest.fixture(scope="module")
def lora(small: SftConfig) -> SftConfig:
    return small.model_copy(update={"tune": "lora", "lora": Lora(rank=4, alpha=8)})


def trained(config: SftConfig, place: Path) -> tuple[folders.Checkpoint, Path]:
    checkpoint = open_base(config.base, config)
    saves = FolderSaves(place)
    train(checkpoint, config, Workers(), saves, None)
    return checkpoint, sorted(place.iterdir())[-1]


def test_lora_moves_what_it_adds_to_the_language_model_and_nothing_else(lora: SftConfig, tmp_path: Path) -> None:
    before = dict(folders.load(lora.base).vlm.named_parameters())
    checkpoint, state = trained(lora, tmp_path)
    moved = set(progress.load_file(state / progress.WEIGHTS))
    assert moved
    assert all("language_model" in name and "lora_" in name for name in moved)
    assert len(moved) == 2 * 7  # of each linear layer of the one layer there is
    for name, p in checkpoint.vlm.named_parameters():
        if name not in moved:
            assert torch.equal(p, before[name.replace(".base_layer", "")]), name


def test_every_worker_starts_from_the_same_additions(lora: SftConfig) -> None:
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found = tuned(open_base(lora.base, lora), lora)
        drawn.append(torch.cat([p.detach().flatten() for p in found.values()]))
    assert torch.equal(*drawn)


def test_what_is_published_is_merged_and_its_adapter_is_beside_it(lora: SftConfig, tmp_path: Path) -> None:
    checkpoint, state = trained(lora, tmp_path / "states")
    digest, position = publish(lora.base, lora, state, tmp_path / "out")
    assert digest == folders.verify(tmp_path / "out")
    assert position.step == 2
    merged = folders.load(tmp_path / "out").vlm
    assert merged.config.to_dict().keys() == folders.load(lora.base).vlm.config.to_dict().keys()
    again = PeftModel.from_pretrained(open_weights(lora.base), tmp_path / "out" / strategies.ADAPTER).merge_and_unload()
    base = dict(folders.load(lora.base).vlm.named_parameters())
    named = dict(checkpoint.vlm.named_parameters())
    differs = 0
    for (name, p), q in zip(merged.named_parameters(), again.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6), name
        stem = name.removesuffix(".weight")
        if f"{stem}.lora_A.default.weight" in named:
            a, b = (named[f"{stem}.lora_{x}.default.weight"].detach() for x in "AB")
            assert torch.allclose(p, base[name] + 2.0 * b @ a, atol=1e-6), name
            differs += not torch.equal(p, base[name])
    assert differs == 7
    told = json.loads((tmp_path / "out" / strategies.ADAPTER / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(lora.base)


def test_rows_of_new_tokens_are_trained_and_no_other_row(lora: SftConfig, tmp_path: Path) -> None:
    """P19, through a head that is the embedding."""
    config = lora.model_copy(update={"lora": Lora(rank=4, alpha=8, tokens=(NEW,))})
    _, state = trained(config, tmp_path / "states")
    publish(config.base, config, state, tmp_path / "out")
    before, after = (folders.load(folder) for folder in (config.base, tmp_path / "out"))
    (row,) = [before.tokenizer.get_vocab()[NEW]]
    one, other = (c.vlm.model.language_model.embed_tokens.weight for c in (before, after))
    moved = [i for i in range(len(one)) if not torch.equal(one[i], other[i])]
    assert moved == [row]
    assert torch.equal(after.vlm.lm_head.weight, other)


def test_a_token_that_is_not_there_is_named(lora: SftConfig) -> None:
    config = lora.model_copy(update={"lora": Lora(tokens=("<seen>",))})
    with pytest.raises(BadInput, match="the tokenizer has no token '<seen>'"):
        tuned(open_base(config.base, config), config)


def test_checkpointing_changes_no_gradient_of_an_addition(lora: SftConfig) -> None:
    """What goes into the first layer needs no gradient under LoRA: re-entrant checkpointing would train nothing."""
    plain = gradients_of(lora, [0, 1])
    again = gradients_of(lora.model_copy(update={"checkpointing": True}), [0, 1])
    assert largest_difference(again, plain) < 1e-6


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_in_bfloat16_what_moves_stays_float32(small: SftConfig, tune: str) -> None:
    config = small.model_copy(update={"dtype": "bf16", "tune": tune})
    checkpoint = open_base(config.base, config)
    found = tuned(checkpoint, config)
    assert {p.dtype for p in found.values()} == {torch.float32}
    still = {p.dtype for p in checkpoint.vlm.parameters() if not p.requires_grad}
    assert still == {torch.bfloat16 if tune == "lora" else torch.float32}
    plain = gradients_of(small.model_copy(update={"tune": tune}), [0, 1])
    near = gradients_of(config, [0, 1])
    one, other = (torch.cat([g.flatten().float() for g in some.values()]) for some in (plain, near))
    assert not torch.equal(one, other)
    assert torch.nn.functional.cosine_similarity(one, other, 0) > 0.99


def test_qlora_is_refused_where_it_cannot_be_had(small: SftConfig) -> None:
    if importlib.util.find_spec("bitsandbytes") and torch.cuda.is_available():
        pytest.skip("it can be had here")
    config = small.model_copy(update={"tune": "qlora"})
    with pytest.raises(BadInput, match="four_bit can't be had here") as refused:
        open_base(config.base, config)
    assert "bitsandbytes" in refused.value.where


def test_qlora_quantises_neither_tower_nor_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """P24, as far as it is decided here: the settings the weights are opened with."""
    monkeypatch.setattr("model.vlm.hub._need", lambda *_: None)
    settings = _settings(Placing(dtype="bfloat16", device="cpu", four_bit=True))["quantization_config"]
    assert settings.load_in_4bit
    assert settings.bnb_4bit_quant_type == "nf4"
    assert settings.bnb_4bit_compute_dtype == torch.bfloat16
    assert set(settings.llm_int8_skip_modules) == {"visual", "lm_head"}


def test_what_a_training_starts_from_is_in_its_name(small: SftConfig, tmp_path: Path) -> None:
    assert strategies.vouched(small.base) == folders.verify(small.base)
    with pytest.raises(BadInput, match="no checkpoint here"):
        strategies.vouched(tmp_path)
