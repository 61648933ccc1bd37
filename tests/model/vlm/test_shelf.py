"""Visual tokens on disk: found again by another process, bounded, and never trusted blindly."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features, tower_digest
from model.vlm.shelf import Shelf
from tests.model.vlm.conftest import SMALL
from tests.model.vlm.test_features import pictures

CPU = torch.device("cpu")


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns)


def test_what_one_process_made_another_finds(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, digest = pictures(3), tower_digest(checkpoint.vlm)
    made = Features(0, Shelf(tmp_path, 1.0)).of(checkpoint.vlm, shown, SMALL, digest)
    monkeypatch.setattr("model.vlm.features.features_of", lambda _, some, __: [] if not some else pytest.fail("made"))
    found = Features(0, Shelf(tmp_path, 1.0)).of(checkpoint.vlm, [*shown, shown[0]], SMALL, digest)
    assert all(torch.equal(one, other) for one, other in zip(found, [*made, made[0]], strict=True))


def test_the_tower_the_pixels_and_how_they_are_taken_are_in_the_key(checkpoint: Checkpoint, tmp_path: Path) -> None:
    store, shown = Features(0, Shelf(tmp_path, 1.0)), pictures(1)
    store.of(checkpoint.vlm, shown, SMALL, "one")
    store.of(checkpoint.vlm, shown, SMALL, "other")
    store.of(checkpoint.vlm, shown, SMALL.model_copy(update={"channels": "grey"}), "one")
    store.of(checkpoint.vlm, [shown[0] ^ 1], SMALL, "one")
    assert len(stored(tmp_path)) == 4
    before, vision = tower_digest(checkpoint.vlm), checkpoint.vlm.config.vision_config
    vision.image_mean = [0.1, 0.2, 0.3]
    changed = tower_digest(checkpoint.vlm)
    del vision.image_mean
    assert changed != before == tower_digest(checkpoint.vlm)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    shelf, tokens = Shelf(tmp_path, 1.0), torch.ones(100)
    for i in range(4):
        shelf.put({bytes([i]): tokens})
        os.utime(tmp_path / f"{bytes([i]).hex()}.safetensors", ns=(i, i))
    shelf.take([bytes([0])], CPU)
    room = 3.5 * stored(tmp_path)[0].stat().st_size
    Shelf(tmp_path, room / 1e9).put({bytes([4]): tokens})
    assert {file.stem for file in stored(tmp_path)} == {"00", "03", "04"}


def test_the_folder_is_listed_once_in_a_tenth_of_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Shelf(tmp_path, 1.0).put({b"size": torch.ones(100)})
    size, sweeps, sweep = stored(tmp_path)[0].stat().st_size, [], Shelf._make_room
    monkeypatch.setattr(Shelf, "_make_room", lambda shelf: (sweeps.append(shelf), sweep(shelf)))
    shelf, others = Shelf(tmp_path, 100 * size / 1e9), Shelf(tmp_path, 100 * size / 1e9)
    for i in range(300):
        (shelf, others)[i % 2].put({i.to_bytes(2): torch.ones(100)})
        assert len(stored(tmp_path)) <= 110  # another process's files are seen at a sweep
    assert len(sweeps) <= 300 / 10
    assert len(stored(tmp_path)) >= 90


def test_a_sweep_takes_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    old, new = (tmp_path / f".00.safetensors.{pid}.part" for pid in (1, 2))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, 0))
    Shelf(tmp_path, 1.0).put({b"k": torch.ones(100)})
    assert not old.exists()
    assert new.exists()


def test_a_file_that_another_process_takes_away_meanwhile_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, utime = Shelf(tmp_path, 1.0), os.utime
    shelf.put({b"k": torch.ones(100)})

    def late(file: Path) -> None:
        file.unlink()
        utime(file)

    monkeypatch.setattr(os, "utime", late)
    assert torch.equal(shelf.take([b"k"], CPU)[b"k"], torch.ones(100))


def test_a_full_disk_is_said_once_and_ends_nothing(tmp_path: Path) -> None:
    """Here a limit on a file's size stands for it: the write fails in the kernel likewise."""
    shelf, limits = Shelf(tmp_path, 1.0), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.warns(UserWarning, match="visual tokens can't be kept in") as told:
            shelf.put({b"k": torch.ones(10_000)})
            shelf.put({b"l": torch.ones(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(told) == 1
    assert not list(tmp_path.iterdir())
    shelf.put({b"k": torch.ones(10_000)})
    assert shelf.take([b"k"], CPU)


@pytest.mark.parametrize("harm", ["bit", "cut", "empty"])
def test_a_damaged_file_is_thrown_away(tmp_path: Path, harm: str) -> None:
    shelf, tokens = Shelf(tmp_path, 1.0), torch.from_numpy(np.arange(50, dtype=np.float32))
    shelf.put({b"k": tokens})
    [file] = stored(tmp_path)
    content = file.read_bytes()
    file.write_bytes({"bit": content[:-3] + b"?" + content[-2:], "cut": content[:-4], "empty": b""}[harm])
    assert not shelf.take([b"k"], CPU)
    assert not file.exists()
    shelf.put({b"k": tokens})
    assert torch.equal(shelf.take([b"k"], CPU)[b"k"], tokens)
