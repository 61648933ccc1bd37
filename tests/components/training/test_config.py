"""Profiles and what is said beside them."""

import pytest
from pydantic import ValidationError

from components.training.config import Lora
from components.training.profiles import PROFILES, QWEN_7B
from components.training.rl import RlConfig
from components.training.sft import SftConfig


def test_what_is_said_is_said_after_the_profile() -> None:
    config = SftConfig.model_validate({"profile": "h200-7b-full", "lr": 3e-6})
    assert (str(config.base), config.lr, config.parallel) == (QWEN_7B, 3e-6, "fsdp2")
    assert SftConfig.model_validate({"profile": "tiny"}) == SftConfig()


@pytest.mark.parametrize("cls", [SftConfig, RlConfig])
@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_profile_is_one_for_sft_and_rl_and_survives_a_journey(cls: type[SftConfig], profile: str) -> None:
    """A worker is sent plain values."""
    config = cls.model_validate({"profile": profile})
    assert cls.model_validate(config.model_dump(mode="json")) == config


def test_profiles_that_are_offered_are_those_there_are() -> None:
    assert set(PROFILES) == set(SftConfig.model_fields["profile"].annotation.__args__)  # pyright: ignore


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"workers": 0}, "workers 0: a number from 1"),
        ({"workers": [4, 2]}, r"workers \(4, 2\): a number from 1, or \(at least, at most\)"),
        ({"tune": "qlora", "parallel": "fsdp2"}, "4-bit weights aren't spread"),
        ({"tune": "qlora"}, "tune qlora with gpu false: 4-bit weights want a GPU, set gpu true or take lora"),
        ({"lora": {"rank": 8}}, "lora with tune full: .* take tune lora or leave lora out"),
        ({"best": ["nope", "max"]}, "best nope: not saved with a state, take one of loss"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"mixture": {"families": {"size": -1}}}, "greater than or equal to 0"),
        ({"profile": "h100"}, "Input should be 'tiny'"),
        ({"lora": {"targets": "all"}}, "Extra inputs are not permitted"),
    ],
)
def test_contradictions_fail_at_the_start(said: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        SftConfig.model_validate(said)


def test_elastic_workers_have_both_ends() -> None:
    assert (SftConfig(workers=3).fewest, SftConfig(workers=3).most) == (3, 3)
    assert (SftConfig(workers=(1, 4)).fewest, SftConfig(workers=(1, 4)).most) == (1, 4)
    assert SftConfig(tune="lora", lora=Lora(rank=2)).lora.alpha == 32


def test_a_profiles_additions_are_not_held_against_who_takes_it_whole() -> None:
    """Only those that were said, whether or not the config has been on a journey."""
    for cls in (SftConfig, RlConfig):
        config = cls.model_validate({"profile": "h200-3b-lora", "tune": "full"})
        assert cls.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ValidationError, match="lora with tune full"):
        SftConfig.model_validate({"profile": "h200-3b-lora", "tune": "full", "lora": {"rank": 8}})
