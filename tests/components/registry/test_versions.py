from pathlib import Path

import pytest

from components import tracking
from components.registry import versions
from components.registry.promotion import promote
from model.interface.errors import BadInput, Integrity
from model.vlm import checkpoint as folders
from tests.components import world

NUMBERS = {"2d": {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 10}, "crops": {"value": 1}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.checkpoint(tmp_path_factory.mktemp("checkpoints") / "rl")


@pytest.fixture(scope="module")
def version(folder: Path, home: Path) -> int:
    run = tracking.log_evaluation("evaluate", "k", metrics={}, tags={})
    return versions.register(folder, NUMBERS, "data-digest", run, {"git": "abc"})


def test_nobody_is_champion_at_first(version: int) -> None:
    assert versions.aliases() == {"challenger": version}
    with pytest.raises(BadInput, match="no checkpoint is 'champion'"):
        versions.resolve()


def test_the_same_bytes_are_one_version(folder: Path, version: int) -> None:
    run = tracking.log_evaluation("evaluate", "another", metrics={}, tags={})
    assert versions.register(folder, NUMBERS, "data-digest", run, {}) == version


def test_a_version_remembers_what_it_was_judged_by(version: int) -> None:
    assert versions.numbers(version, "data-digest") == {"2d": {"accuracy": NUMBERS["2d"]["accuracy"]}}
    assert versions.numbers(version, "other data") is None


def test_an_alias_leads_back_to_the_same_bytes(folder: Path, version: int) -> None:
    found = versions.resolve(versions.CHALLENGER)
    assert folders.verify(found) == folders.verify(folder)
    assert {path.name for path in found.iterdir()} == {path.name for path in folder.iterdir()}
    assert not list(found.parent.glob(".fetch-*"))


def test_one_flipped_bit_is_refused_by_name(version: int) -> None:
    weights = versions.resolve(versions.CHALLENGER) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(Integrity) as error:
        versions.resolve(versions.CHALLENGER)
    assert "model.safetensors" in error.value.where
    content[-1] ^= 1
    weights.write_bytes(content)


def test_another_checkpoint_in_its_place_is_refused(version: int, tmp_path: Path) -> None:
    """Its manifest agrees with its files, but it is not what was registered."""
    held = versions.resolve(versions.CHALLENGER)
    other = world.checkpoint(tmp_path / "other", seed=9)
    held.rename(tmp_path / "held")
    other.rename(held)
    with pytest.raises(Integrity, match="is not what was registered"):
        versions.resolve(versions.CHALLENGER)
    held.rename(tmp_path / "other")
    (tmp_path / "held").rename(held)


def test_champion_is_the_default(version: int) -> None:
    promote(version, expect=None)
    assert versions.resolve() == versions.resolve(versions.CHALLENGER)
