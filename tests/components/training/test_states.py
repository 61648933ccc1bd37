"""States survive whatever happens to them or to who writes them."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from components.training import progress
from components.training.progress import Position
from components.training.states import MANIFEST, States, verify
from model.interface.errors import BadInput, Integrity

FILES = (progress.WEIGHTS, progress.OPTIMISER, progress.RANDOM, progress.POSITION, MANIFEST)


def write(states: States, step: int, loss: float | None = 0.0) -> Path:
    net = nn.Linear(64, 64)
    with torch.no_grad():
        net.weight.fill_(step)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.0)
    net(torch.ones(1, 64)).sum().backward()
    optimiser.step()
    figures = {} if loss is None else {"loss": loss}
    return states.write(
        lambda folder: progress.write(folder, dict(net.named_parameters()), optimiser, Position(step)), figures
    )


def steps(states: States) -> list[int]:
    return sorted(progress.step_of(place) for place in states.folder.glob("step-*"))


def test_the_last_are_kept_and_the_best(tmp_path: Path) -> None:
    states = States(tmp_path, keep=2, best=("loss", "min"))
    for step, loss in enumerate([3.0, 1.0, 2.0, 2.5, 4.0], 1):
        write(states, step, loss)
    assert steps(states) == [2, 4, 5]
    assert progress.step_of(states.chosen() or tmp_path) == 2
    assert progress.step_of(states.last() or tmp_path) == 5
    assert progress.step_of(States(tmp_path).chosen() or tmp_path) == 5


def test_a_best_by_a_figure_that_is_not_there_is_refused_at_the_first_state(tmp_path: Path) -> None:
    """Not found out by publishing the last in its place."""
    with pytest.raises(BadInput, match="no state can be the best") as refused:
        write(States(tmp_path / "states", best=("nope", "max")), 1)
    assert refused.value.where == "best, found nope, wanted one of loss"
    assert not (tmp_path / "states").exists()


def test_a_state_behind_a_step_that_trained_nothing_is_kept_and_never_the_best(tmp_path: Path) -> None:
    states = States(tmp_path, keep=2, best=("loss", "min"))
    for step, loss in enumerate([None, 2.0, 1.0, None], 1):
        write(states, step, loss)
    assert steps(states) == [3, 4]
    assert progress.step_of(states.chosen() or tmp_path) == 3
    assert progress.step_of(states.last() or tmp_path) == 4


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", ["gone", "empty", "one byte", "half", "last byte", "bit"])
def test_a_damaged_state_is_named_and_the_one_before_is_taken(tmp_path: Path, file: str, harm: str) -> None:
    states, said = States(tmp_path), []
    write(states, 1)
    place = write(states, 2) / file
    content = place.read_bytes()
    cut = {"empty": 0, "one byte": 1, "half": len(content) // 2, "last byte": len(content) - 1}
    if harm == "gone":
        place.unlink()
    elif harm == "bit":
        middle = len(content) // 2
        place.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        place.write_bytes(content[: cut[harm]])
    found = states.last(said.append)
    assert found is not None
    assert progress.step_of(found) == 1
    assert len(said) == 1
    # a changed manifest asks for another file, or another file's other bytes
    assert f"step-0000002/{'' if (file, harm) == (MANIFEST, 'bit') else file}" in said[0]
    assert "going on from the state before it" in said[0]
    write(states, 2)  # the step is come to again
    assert steps(states) == [1, 2]
    verify(states.last() or tmp_path)


def test_with_every_state_damaged_there_is_none(tmp_path: Path) -> None:
    states, said = States(tmp_path), []
    for step in (1, 2):
        (write(states, step) / progress.WEIGHTS).unlink()
    assert states.last(said.append) is None
    assert len(said) == 2


def test_the_best_is_not_published_when_it_is_damaged(tmp_path: Path) -> None:
    states = States(tmp_path, best=("loss", "min"))
    place = write(states, 1, 0.5)
    write(states, 2, 1.0)
    (place / progress.WEIGHTS).write_bytes(b"")
    with pytest.raises(Integrity, match="a state is damaged"):
        states.chosen()


def _write_for_ever(folder: Path) -> None:
    states, step = States(folder, keep=2), 0
    while True:
        write(states, step := step + 1)


def test_killed_at_any_moment_every_state_is_whole(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing, renaming or clearing away; the next writer clears what was left."""
    # forked off a process without threads: in this one others' locks may be held, and would be for ever in the fork
    context, chance = multiprocessing.get_context("forkserver"), random.Random(0)
    context.set_forkserver_preload([__name__])
    for turn in range(25):
        folder = tmp_path / str(turn)
        writer = context.Process(target=_write_for_ever, args=(folder,))
        writer.start()
        began = time.monotonic()
        while not list(folder.glob("step-*")):
            assert writer.is_alive() and time.monotonic() - began < 60
            time.sleep(0.001)
        time.sleep(chance.random() * 0.05)
        assert writer.pid
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        states = States(folder, keep=2)
        for place in folder.glob("step-*"):
            verify(place)
        last = states.last(pytest.fail)
        assert last is not None
        write(states, progress.step_of(last) + 1)
        assert len(steps(states)) == 2
        assert not list(folder.glob(".part*"))


def test_a_full_disk_leaves_the_states_as_they_were(tmp_path: Path) -> None:
    states = States(tmp_path)
    write(states, 1)

    def full(folder: Path) -> None:
        (folder / progress.WEIGHTS).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        states.write(full, {})
    assert steps(states) == [1]
    write(states, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000001", "step-0000002"]
