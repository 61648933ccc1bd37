"""What was interrupted stays until its output is published, and of one output never more than a few."""

import os
from pathlib import Path

import pytest

from components.training import runs


def made(storage: Path, name: str, at: float) -> Path:
    """A run that wrote its last state at a moment."""
    run = storage / name
    (run / "states" / "step-0000003").mkdir(parents=True)
    for place in (run / "states", run):
        os.utime(place, (at, at))
    return run


def names(storage: Path) -> list[str]:
    return sorted(path.name for path in storage.iterdir())


def test_an_interrupted_run_outlives_the_start_of_another_and_goes_when_that_has_published(tmp_path: Path) -> None:
    before = made(tmp_path, "sft-0a-before", 1)
    elsewhere, rl = made(tmp_path, "sft-0b-before", 1), made(tmp_path, "rl-0a-before", 1)
    run = tmp_path / "sft-0a-now"
    runs.begin(run, pytest.fail)
    runs.begin(run, pytest.fail)  # the same command again
    assert run.is_dir()
    assert (before / "states" / "step-0000003").is_dir()
    runs.published(run)
    assert names(tmp_path) == sorted([elsewhere.name, rl.name])


def test_of_an_output_only_the_last_interrupted_are_kept(tmp_path: Path) -> None:
    for at, name in enumerate(["c", "a", "d", "b"], 1):
        made(tmp_path, f"sft-0a-{name}", at)
        made(tmp_path, f"sft-0b-{name}", at)
    said: list[str] = []
    runs.begin(tmp_path / "sft-0a-now", said.append)
    kept = ["sft-0a-b", "sft-0a-d", "sft-0a-now"]
    assert names(tmp_path) == sorted([*kept, *(f"sft-0b-{name}" for name in "abcd")])
    assert len(kept) == runs.OTHERS + 1
    assert [line.split()[0] for line in said] == ["sft-0a-a", "sft-0a-c"]


def test_a_run_is_as_old_as_its_last_state(tmp_path: Path) -> None:
    """Not as its folder: a state is written inside another one, which alone is touched."""
    for wrote, name in ((3, "a"), (1, "b"), (2, "c")):
        run = made(tmp_path, f"sft-0a-{name}", 0)
        os.utime(run / "states", (wrote, wrote))
    runs.begin(tmp_path / "sft-0a-now", lambda _: None)
    assert names(tmp_path) == ["sft-0a-a", "sft-0a-c", "sft-0a-now"]


def test_one_that_is_half_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill in the middle: what is left has no states for anybody, and is cleared away at the next start."""
    old, run = made(tmp_path, "sft-0a-old", 1), tmp_path / "sft-0a-now"
    runs.begin(run, pytest.fail)
    rmtree = runs.shutil.rmtree

    def killed(path: Path) -> None:
        rmtree(path / "states")
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        runs.published(run)
    monkeypatch.undo()
    assert not old.exists()
    assert run.exists()  # it is found finished, and published again
    runs.begin(run, pytest.fail)
    assert names(tmp_path) == [run.name]


def test_an_output_has_one_name_however_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same one where the folders are mounted elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    told = (Path("checkpoints/sft"), tmp_path / "checkpoints/sft", tmp_path / "link/checkpoints/../checkpoints/sft")
    assert len({runs.output(Path(".cache/ray"), out) for out in told}) == 1
    assert runs.output(Path(".cache/ray"), Path("checkpoints/rl")) != runs.output(Path(".cache/ray"), told[0])
    moved = runs.output(tmp_path / "moved/.cache/ray", tmp_path / "moved/checkpoints/sft")
    assert moved == runs.output(Path(".cache/ray"), told[0])
