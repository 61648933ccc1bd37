"""What `rl` can be told, and what nobody can mean."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.settings import load
from components.training.rl_config import RlConfig
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.learning.objectives import Clip, Objective
from model.vlm.sampling import Sampling


@pytest.mark.parametrize(
    ("objective", "own"),
    [
        ("grpo", Clip(0.2, 0.28)),
        ("dr_grpo", Clip(0.2, 0.28)),
        ("dapo", Clip(0.2, 0.28)),
        ("gspo", Clip(3e-4, 4e-4)),
        ("cispo", Clip(1.0, 4.0)),
    ],
)
def test_an_objective_clips_in_its_own_range_unless_it_is_told_another(objective: Objective, own: Clip) -> None:
    config = RlConfig(objective=objective)
    assert config.clipped == own
    assert RlConfig.model_validate(config.model_dump(mode="json")).clipped == own
    assert RlConfig(objective=objective, clip=(0.1, 0.3)).clipped == Clip(0.1, 0.3)


def test_the_default_samples_as_it_always_has() -> None:
    config = RlConfig()
    assert config.sampling(7) == Sampling(temperature=1.0, max_tokens=120, seed=7)
    told = RlConfig(rows=3, max_boxes=2, max_slices=1).sampling()
    assert (told.rows, told.max_boxes, told.slices(Contract())) == (3, 2, 1)


@pytest.mark.parametrize("said", ["{images: 0, volumes: 0}", "{volumes: 0, images: 0}"])
def test_a_step_that_asks_nothing_is_refused_in_four_lines(tmp_path: Path, said: str) -> None:
    (tmp_path / "params.yaml").write_text(f"rl: {said}\n")
    with pytest.raises(BadInput) as refused:
        load("rl", RlConfig, tmp_path / "params.yaml")
    assert refused.value.render().splitlines() == [
        "error: rl.volumes can't be used",
        f"  where: {tmp_path / 'params.yaml'}, rl.volumes: found 0, wanted 1 or more where images is 0 too: "
        "a step asks at least one question",
        "  safe: nothing was changed",
        f"  next: mend {tmp_path / 'params.yaml'} and run again",
    ]
    assert RlConfig(images=0).volumes == 2
    assert RlConfig(volumes=0).images == 6


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"seed": -1}, "greater than or equal to 0"),
        ({"clip": [-0.5, -0.5]}, "greater than or equal to 0"),
        (
            {"denominator": "constant", "objective": "dapo"},
            "constant with objective dapo: take dr_grpo, or leave it out",
        ),
        ({"tis_cap": 3.0}, "tis_cap with rollout local: .* set rollout pool or leave it out"),
        ({"engines": 2}, "engines with rollout local: .* set rollout pool or leave it out"),
        ({"kl_beta": 0.1}, "kl_beta with kl none: .* set kl k3 or leave it out"),
        ({"kl": "k3", "kl_beta": 0}, "kl k3 with kl_beta 0: .* set kl_beta above 0 or kl none"),
        ({"best": ["kl_reference", "min"]}, "best kl_reference: not saved with a state, take one of reward, "),
    ],
)
def test_what_would_do_nothing_is_refused(said: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RlConfig.model_validate(said)


@pytest.mark.parametrize(
    "said",
    [
        {"denominator": "constant"},
        {"rollout": "pool", "engines": 2, "tis_cap": 3.0, "best": ("ess", "max")},
        {"kl": "k3", "kl_beta": 0.1, "best": ("kl_reference", "min")},
    ],
)
def test_what_does_something_is_taken_and_survives_a_journey(said: dict[str, object]) -> None:
    config = RlConfig.model_validate(said)
    assert RlConfig.model_validate(config.model_dump(mode="json")) == config
