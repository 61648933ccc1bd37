"""Against a real registry: MLflow on SQLite."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components import tracking
from components.registry import promotion, versions
from components.registry.promotion import Change, promote, roll_back, was_rolled_back
from model.interface.errors import BadInput, Conflict


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """A model of its own with eight versions."""
    name = f"model-{request.node.name}"[:50].replace("[", "-").replace("]", "")
    monkeypatch.setattr(promotion, "MODEL", name)
    monkeypatch.setattr(versions, "MODEL", name)
    (tmp_path / "file").write_text("x")
    run = tracking.log_evaluation("judged", name, metrics={}, tags={})
    yield [tracking.register(name, tmp_path, f"key{i}", {}, run) for i in range(8)]


def test_the_old_champion_becomes_previous(registered: list[int]) -> None:
    assert promote(registered[0], expect=None) == Change(registered[0], None)
    assert promote(registered[1], expect=registered[0]) == Change(registered[1], registered[0])
    assert versions.aliases() == {"champion": registered[1], "previous": registered[0]}


def test_promoting_the_champion_again_keeps_the_way_back(registered: list[int]) -> None:
    promote(registered[0], expect=None)
    promote(registered[1], expect=registered[0])
    assert promote(registered[1], expect=registered[1]) == Change(registered[1], registered[0])


def test_of_many_who_race_one_wins(registered: list[int]) -> None:
    def race(version: int) -> int | str:
        try:
            return promote(version, expect=None).champion
        except Conflict as conflict:
            return conflict.what

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(race, registered))
    winners = [version for version in told if isinstance(version, int)]
    assert winners == [versions.aliases()["champion"]]
    assert all(what == f"champion changed from nobody to v{winners[0]}" for what in told if isinstance(what, str))


def test_a_lost_race_changes_nothing_and_exits_with_3(registered: list[int]) -> None:
    promote(registered[0], expect=None)
    with pytest.raises(Conflict) as error:
        promote(registered[2], expect=registered[1])
    assert error.value.exit_code == 3
    assert versions.aliases() == {"champion": registered[0]}


def test_rolling_back_twice_is_where_it_began(registered: list[int]) -> None:
    promote(registered[0], expect=None)
    promote(registered[1], expect=registered[0])
    assert roll_back() == Change(registered[0], registered[1])
    assert roll_back(expect=registered[0]) == Change(registered[1], registered[0])


def test_whoever_was_rolled_back_stays_so_until_promoted_by_hand(registered: list[int]) -> None:
    promote(registered[0], expect=None)
    promote(registered[1], expect=registered[0])
    roll_back()
    assert [was_rolled_back(version) for version in registered[:2]] == [False, True]
    promote(registered[1], expect=registered[0])
    assert not was_rolled_back(registered[1])


def test_what_is_not_registered_can_not_be_promoted_and_the_way_back_is_kept(registered: list[int]) -> None:
    promote(registered[0], expect=None)
    promote(registered[1], expect=registered[0])
    with pytest.raises(BadInput, match="no version 99 is registered"):
        promote(99, expect=registered[1])
    assert versions.aliases() == {"champion": registered[1], "previous": registered[0]}


def test_there_must_be_somebody_to_go_back_to(registered: list[int]) -> None:
    promote(registered[0], expect=None)
    with pytest.raises(BadInput, match="no previous champion"):
        roll_back()
